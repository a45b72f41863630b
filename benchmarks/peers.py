"""What people would use instead, each as its documentation shows it, on the same files.

Every function trains one epoch at a time or predicts a folder, and gives back seconds. Masks are written as 0 and 1 first,
since fastai's and smp's way of reading them takes class numbers. All of it on the CPU.
"""
import math, time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from PIL import Image
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from salt_identification.training import bf16_slow

CODES, SIDE = ['rock', 'salt'], 128

def _class_mask(path, f): return path/'classes'/f.name

def read_valid(path): return (Path(path)/'valid.txt').read_text().split()

def _fastai_dls(path, workers=0, bs=16):
    "`SegmentationDataLoaders.from_label_func` as fastai's tutorial has it, but for the validation tiles, which are those of `valid.txt`; `workers`: None for as many as fastai takes"
    from fastai.vision.all import DataBlock, FuncSplitter, ImageBlock, MaskBlock, Resize, SegmentationDataLoaders, aug_transforms, get_image_files
    path, valid = Path(path), set(read_valid(path))
    block = DataBlock(blocks=(ImageBlock, MaskBlock(codes=CODES)), splitter=FuncSplitter(lambda f: f.stem in valid),
        get_y=partial(_class_mask, path), item_tfms=Resize(SIDE), batch_tfms=aug_transforms(size=SIDE))
    dls = SegmentationDataLoaders.from_dblock(block, get_image_files(path/'train'/'images'), path=path,
        bs=bs, num_workers=workers, device=torch.device('cpu'))
    assert {f.stem for f in dls.valid_ds.items} == valid, f'{len(dls.valid_ds)} validation tiles, expected {len(valid)}'
    return dls

class _Epochs:
    "Seconds of each epoch, training and validation"
    def __new__(cls):
        from fastai.callback.core import Callback
        class Epochs(Callback):
            def before_fit(self): self.seconds = []
            def before_epoch(self): self.start = time.perf_counter()
            def after_epoch(self): self.seconds.append(time.perf_counter() - self.start)
        return Epochs()

def _fit(learn, epochs):
    watch = _Epochs()
    with learn.no_bar(), learn.no_logging(): learn.fit_one_cycle(epochs, 1e-3, cbs=watch)
    return watch.seconds

def fastai_unet(path, epochs=1, workers=0):
    "`unet_learner` on a ResNet34 from random weights"
    from fastai.vision.all import DiceMulti, resnet34, unet_learner
    return _fit(unet_learner(_fastai_dls(path, workers), resnet34, pretrained=False, metrics=DiceMulti()), epochs)

def _smp_unet(n_in=3, n_out=2):
    import segmentation_models_pytorch as smp
    return smp.Unet('resnet34', encoder_weights=None, in_channels=n_in, classes=n_out)

def smp_learner(path, epochs=1, workers=0):
    "smp.Unet(resnet34) in a plain `Learner` on the same loaders"
    from fastai.vision.all import CrossEntropyLossFlat, DiceMulti, Learner
    return _fit(Learner(_fastai_dls(path, workers), _smp_unet(), loss_func=CrossEntropyLossFlat(axis=1),
        metrics=DiceMulti()), epochs)

def _read(folder, ids): return np.stack([np.array(Image.open(folder/f'{i}.png').convert('L')) for i in ids])

def _padded(x, h, w):
    dy, dx = SIDE - h, SIDE - w
    return F.pad(x, (dx//2, dx - dx//2, dy//2, dy - dy//2), mode='reflect')

def best_precision(net, x):
    "bf16 if a step takes less time so, else float32; not tried where one convolution says that bf16 is far slower"
    if bf16_slow(): return False
    def step(on):
        with torch.autocast('cpu', torch.bfloat16, on): y = net(x)
        y.float().mean().backward(); net.zero_grad()
    def seconds(on):
        step(on)
        times = []
        for _ in range(2): t = time.perf_counter(); step(on); times.append(time.perf_counter() - t)
        return min(times)
    return seconds(True) < seconds(False)

bce = F.binary_cross_entropy_with_logits

class HandLoop:
    "smp.Unet(resnet34) with one channel in a loop by hand at its best: cached tiles, channels-last, bf16 if it pays, fused AdamW; with `ema` the mean of its weights and buffers predicts"
    def __init__(self, images, masks, lr=1e-3, bs=32, seed=0, ema=0.):
        torch.manual_seed(seed)
        self.net, self.bs, self.lr = _smp_unet(1, 1).to(memory_format=torch.channels_last), bs, lr
        self.x = (torch.as_tensor(images)[:,None].float()/255 - .47)/.16
        self.y, self.size = torch.as_tensor(masks)[:,None].float(), images.shape[1:]
        self.bf16 = best_precision(self.net, self.batch(torch.arange(min(bs, len(self.x))))[0])
        self.opt, self.done = torch.optim.AdamW(self.net.parameters(), lr, weight_decay=1e-2, fused=True), 0
        self.mean = AveragedModel(self.net, multi_avg_fn=get_ema_multi_avg_fn(ema), use_buffers=True) if ema else None

    @property
    def precision(self): return 'bf16' if self.bf16 else 'float32'

    def batch(self, i, flip=False):
        x, y = self.x[i], self.y[i]
        if flip:
            turn = torch.rand(len(i)) < .5
            x, y = x.clone(), y.clone(); x[turn], y[turn] = x[turn].flip(-1), y[turn].flip(-1)
        return _padded(x, *self.size).contiguous(memory_format=torch.channels_last), y

    def logits(self, x, net=None):
        with torch.autocast('cpu', torch.bfloat16, self.bf16): y = (net or self.net)(x)
        (h, w), y = self.size, y.float()
        a, b = (SIDE - h)//2, (SIDE - w)//2
        return y[..., a:a+h, b:b+w]

    def train(self, rate=lambda done: None, loss=bce, stop=lambda: False):
        "One epoch, of fewer batches where `stop()` says so before one"
        self.net.train()
        for i in torch.randperm(len(self.x)).split(self.bs):
            if len(i) < 2: continue
            if stop(): return
            lr = rate(self.done)
            if lr is not None: self.opt.param_groups[0]['lr'] = lr
            x, y = self.batch(i, flip=True)
            loss(self.logits(x), y).backward()
            self.opt.step(); self.opt.zero_grad(); self.done += 1
            if self.mean: self.mean.update_parameters(self.net)

    def train_seconds(self, seconds, start, warmup=100):
        "Epochs until `seconds` after `start` (by `time.monotonic`): BCE, from half of the time on Lovasz tile by tile; the rate rises for `warmup` steps, and falls by a cosine of the time"
        import segmentation_models_pytorch as smp
        lovasz = smp.losses.LovaszLoss('binary', per_image=True)
        share = lambda: (time.monotonic() - start)/seconds
        rate = lambda done: self.lr*min(1, (done + 1)/warmup)*(.5 + .5*math.cos(math.pi*min(1, share())))
        loss = lambda x, y: (bce if share() < .5 else lovasz)(x, y)
        while share() < 1: self.train(rate, loss, lambda: share() >= 1)

    @torch.no_grad()
    def probs(self, images, flip=False):
        "(N,H,W) probabilities"
        net = (self.mean.module if self.mean else self.net).eval()
        x, out = (torch.as_tensor(images)[:,None].float()/255 - .47)/.16, []
        for xb in x.split(self.bs):
            xb = _padded(xb, *self.size).contiguous(memory_format=torch.channels_last)
            p = torch.sigmoid(self.logits(xb, net))
            if flip: p = (p + torch.sigmoid(self.logits(xb.flip(-1), net)).flip(-1))/2
            out.append(p[:,0])
        return torch.cat(out).numpy()

def smp_best(path, epochs=2):
    "(seconds of each epoch, precision) of `HandLoop` with BCE and no averaged weights, with the same metric as ours on the validation tiles"
    from salt_identification.metrics import mean_precision
    path = Path(path)
    valid = read_valid(path)
    train = sorted({f.stem for f in (path/'train'/'images').glob('*.png')} - set(valid))
    read = lambda ids: (_read(path/'train'/'images', ids), _read(path/'classes', ids))
    loop, (vx, vy) = HandLoop(*read(train)), read(valid)
    seconds = []
    for _ in range(epochs):
        t = time.perf_counter()
        loop.train()
        mean_precision(loop.probs(vx) > .5, vy)
        seconds.append(time.perf_counter() - t)
    return seconds, loop.precision

def _encode(mask):
    "The run-length encoder of most kernels"
    pixels = np.concatenate([[0], mask.flatten(order='F'), [0]])
    runs = np.where(pixels[1:] != pixels[:-1])[0] + 1
    runs[1::2] -= runs[::2]
    return ' '.join(str(x) for x in runs)

class _Files(torch.utils.data.Dataset):
    def __init__(self, files): self.files = files
    def __len__(self): return len(self.files)
    def __getitem__(self, i):
        x = torch.as_tensor(np.array(Image.open(self.files[i]).convert('L')))[None].float()
        return (x/255 - .47)/.16, self.files[i].stem

def smp_ttach(path, out, workers=0):
    "A folder of tiles, flip TTA by ttach around smp.Unet(resnet34) in float32, the usual encoder, a CSV; seconds"
    import ttach as tta
    path, rows = Path(path), []
    net = tta.SegmentationTTAWrapper(_smp_unet(1, 1).eval(), tta.Compose([tta.HorizontalFlip()]), merge_mode='mean')
    t = time.perf_counter()
    dl = torch.utils.data.DataLoader(_Files(sorted((path/'test'/'images').glob('*.png'))), 32, num_workers=workers)
    with torch.no_grad():
        for x, ids in dl:
            h, w = x.shape[-2:]
            a, b = (SIDE - h)//2, (SIDE - w)//2
            masks = (torch.sigmoid(net(_padded(x, h, w)))[:,0,a:a+h,b:b+w] > .5).numpy().astype(np.uint8)
            rows += [(i, _encode(m)) for i, m in zip(ids, masks)]
    pd.DataFrame(rows, columns=['id', 'rle_mask']).to_csv(out, index=False)
    return time.perf_counter() - t

def _precision_at(threshold, iou):
    matches = iou > threshold
    tp, fp, fn = np.sum(matches, axis=1) == 1, np.sum(matches, axis=0) == 0, np.sum(matches, axis=1) == 0
    return np.sum(tp), np.sum(fp), np.sum(fn)

def _usual_iou_metric(truth, pred):
    both = np.histogram2d(truth.flatten(), pred.flatten(), bins=([0, .5, 1], [0, .5, 1]))[0]
    area_true, area_pred = np.histogram(truth, bins=[0, .5, 1])[0], np.histogram(pred, bins=[0, .5, 1])[0]
    union = (area_true[:,None] + area_pred[None] - both)[1:,1:]
    both = both[1:,1:]
    both[both == 0], union[union == 0] = 1e-9, 1e-9
    precisions = []
    for t in np.arange(.5, 1., .05):
        tp, fp, fn = _precision_at(t, both/union)
        precisions.append(tp/(tp + fp + fn) if tp + fp + fn > 0 else 0)
    return np.mean(precisions)

def usual_precision(preds, truth):
    "Mean precision as the kernels of the challenge have it: tile by tile by `np.histogram2d`, then threshold by threshold"
    return float(np.mean([_usual_iou_metric(t, p) for p, t in zip(preds, truth)]))

def lean_precision(preds, truth):
    "The same by logical operations, still tile by tile"
    scores = []
    for p, t in zip(preds, truth):
        if not t.any(): scores.append(float(not p.any())); continue
        iou = np.logical_and(p, t).sum()/np.logical_or(p, t).sum()
        scores.append(np.mean([iou > th for th in np.arange(.5, 1, .05)]))
    return float(np.mean(scores))
