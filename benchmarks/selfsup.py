"""Does a start on images without masks help a net that begins with random weights?

    python benchmarks/selfsup.py DATA --out DIR [--first 1400] [--steps 1400] [--share .5] [--cell 8]

A net fills holes for `--first` steps: of all images, labelled or not, cells of `--cell` pixels are blanked until `--share` of a tile is gone, and it learns
the grey values there. Then it learns masks for `--steps`, with all that it has but its head. It is compared with the base of `ablate.py`, which learns masks for as many steps
in all, from random weights. Tiles, folds and scores are those of `ablate.py`; what is done is kept, what was stopped goes on.
"""
import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from fastai.data.transforms import ItemTransform
from PIL import Image
from torch import nn

from salt_identification.augment import tile_tfms
from salt_identification.files import new_folder
from salt_identification.learner import resume_run, train_run
from salt_identification.tiles import Survey
from salt_identification.training import read_state
from salt_identification.unet import Unet

from ablate import BASES, HERE, KEPT_OUT, one, only, table
from kept_out import kept_out, save_images

class HideTile(ItemTransform):
    "Blank cells of the image; the target is the image as it was, with a second channel that says where the holes are"
    split_idx, order = 0, 60
    def __init__(self, share, cell): super().__init__(); self.share, self.cell = share, cell
    def encodes(self, xy):
        x, (h, w) = xy[0], xy[0].shape[-2:]
        cells = torch.rand(len(x), 1, -(-h//self.cell), -(-w//self.cell)) < self.share
        holes = cells.repeat_interleave(self.cell, -2).repeat_interleave(self.cell, -1)[...,:h,:w].to(x.device)
        return torch.where(holes, x.mean((-2,-1), keepdim=True), x), torch.cat([x[:,:1], holes.to(x.dtype)], 1)

class HolesLoss(nn.Module):
    "Cross entropy with the grey values, as shares of white, in the holes"
    def forward(self, logits, y):
        y = y.as_subclass(torch.Tensor)
        if y.ndim == 3: return logits.float().mean()*0 # a held-out tile has no holes
        wrong = F.binary_cross_entropy_with_logits(logits.float(), y[:,:1].float(), reduction='none')
        return (wrong*y[:,1:]).sum()/y[:,1:].sum().clamp(min=1)

def images_of(survey, out):
    "A survey of all images, whose masks are blank"
    if out.exists(): return Survey(out)
    with new_folder(out) as d:
        (d/'train'/'masks').mkdir(parents=True)
        for part in ('train', 'test'):
            for tiles in survey.chunks(part, 512):
                save_images(tiles, d/'train'/'images')
                for i in tiles.ids: Image.fromarray(np.zeros(tiles.size, np.uint8)).save(d/'train'/'masks'/f'{i}.png')
    return Survey(out)

def start(survey, out, args, o):
    "The net that has filled holes"
    run, own = out/'holes', dict(loss=HolesLoss(), tfms=[*tile_tfms(**args['tfms']), HideTile(o.share, o.cell)],
        metrics=[])
    images = images_of(survey, out/'images')
    if (run/'config.json').exists(): resume_run(run, images, quiet=True, **own)
    else: train_run(images, run, steps=o.first, keep='last', n_folds=50, grouped=False, quiet=True,
        net=args['net'], **own)
    torch.manual_seed(0)
    net = Unet(args['net'])
    state, _ = read_state(run/'model.safetensors')
    net.load_state_dict({k: v for k, v in state.items() if not k.startswith('head.')}, strict=False)
    return net

def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('data'); p.add_argument('--out', required=True, type=Path)
    p.add_argument('--first', type=int, default=1400); p.add_argument('--steps', type=int, default=1400)
    p.add_argument('--share', type=float, default=.5)
    p.add_argument('--cell', type=int, default=8); p.add_argument('--csv', default=HERE/'runs.csv', type=Path)
    o = p.parse_args()
    survey, args = Survey(o.data), BASES['random']
    small = only(survey, ~kept_out(survey))
    o.out.mkdir(parents=True, exist_ok=True)
    one(small, o.out, 'random', 'self-supervised start', args | dict(net=start(survey, o.out, args, o)), 0,
        dict(steps=o.steps), o.csv, KEPT_OUT)
    one(small, o.out, 'random', 'base', args, 0, dict(steps=o.first + o.steps), o.csv, KEPT_OUT)
    print(table(o.out, 'random'))

if __name__ == '__main__': main()
