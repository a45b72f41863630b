"Checks against code that others wrote, and (where they are) against the challenge's own files"
from pathlib import Path

import numpy as np
import pytest

from salt_identification.rle import rle_decode, rle_encode

def coco(mask):
    "pycocotools' uncompressed run lengths (column by column, rock first), as the challenge writes them"
    mask_api = pytest.importorskip('pycocotools.mask')
    back = mask_api.decode(mask_api.encode(np.asfortranarray(mask)))
    flat, runs, start = back.T.ravel(), [], None
    for i, v in enumerate([*flat, 0]):
        if v and start is None: start = i
        if not v and start is not None: runs += [start + 1, i - start]; start = None
    return ' '.join(map(str, runs))

def test_rle_against_pycocotools():
    rng = np.random.default_rng(0)
    for i in range(60):
        h, w = rng.integers(1, 60, 2)
        m = (rng.random((h, w)) < rng.choice([0, .1, .5, .9, 1])).astype(np.uint8)
        assert rle_encode(m) == coco(m)
        assert (rle_decode(coco(m), (h, w)) == m).all()

def loop_precision(pred, true):
    "The challenge's metric by its page, one tile at a time"
    scores = []
    for p, t in zip(pred, true):
        if not t.any(): scores.append(float(not p.any())); continue
        iou = (p & t).sum()/(p | t).sum()
        scores.append(np.mean([iou > th for th in np.arange(.5, 1, .05).round(2)]))
    return np.mean(scores)

def test_metric_against_a_loop():
    from salt_identification.metrics import mean_precision
    rng = np.random.default_rng(1)
    true = rng.random((200, 9, 11)) < rng.choice([0, .3, .7], (200, 1, 1))
    pred = np.where(rng.random((200, 1, 1)) < .5, true ^ (rng.random((200, 9, 11)) < .1), rng.random((200, 9, 11)) < .4)
    assert mean_precision(pred, true) == pytest.approx(loop_precision(pred, true), abs=1e-9)

def test_metric_at_the_thresholds():
    "Tiles of 101 pixels whose IoU is a threshold, or one pixel off; in exact fractions"
    from fractions import Fraction
    from salt_identification.metrics import tile_precision
    pred, true, right = [], [], []
    for union in (20, 40, 100, 2000, 10200):
        for k in range(10, 20):
            for off in (-1, 0, 1):
                inter = union*k//20 + off
                true.append(np.arange(10201) < union)
                pred.append(np.arange(10201) < inter)
                right.append(sum(Fraction(inter, union) > Fraction(j, 20) for j in range(10, 20))/10)
    pred, true = (np.reshape(o, (-1, 101, 101)) for o in (pred, true))
    assert tile_precision(pred, true).tolist() == tile_precision(true, pred).tolist() == right

def test_best_cut_against_a_double_loop():
    from salt_identification.metrics import THRESHOLDS, best_cut
    rng = np.random.default_rng(3)
    probs, areas = rng.random((25, 11, 13)).astype(np.float32), [0, 1, 5, 40, 90]
    true = (probs + rng.normal(0, .3, probs.shape) > .6) & (rng.random((25, 1, 1)) < .7)
    probs[3], probs[4] = .5, np.float32(.52)
    for p in (probs, (probs*255).astype(np.uint8)):
        q = p if p.dtype == np.float32 else p.astype(np.float32)/255
        cut = lambda t, a: np.stack([o > t if (o > t).sum() >= a else o > 2 for o in q])
        loop = [[loop_precision(cut(t, a), true) for a in areas] for t in np.float32(THRESHOLDS)]
        np.testing.assert_allclose(best_cut(p, true, min_areas=areas).table, loop, atol=1e-12)

# Losses by their formulas, in float64 and by loops

def by_classes(x, y):
    "log-probabilities (B,n,P) and truth (B,n,P) in float64; one channel as two"
    import torch
    x = x.double().flatten(2)
    if x.shape[1] == 1: x = torch.cat([torch.zeros_like(x), x], 1)
    return torch.log_softmax(x, 1), torch.stack([(y.flatten(1) == k).double() for k in range(x.shape[1])], 1)

def focal_formula(x, y, gamma, alpha):
    import torch
    logp, t = by_classes(x, y)
    alpha = [1 - alpha, alpha] if isinstance(alpha, float) else alpha or [1]*logp.shape[1]
    w = torch.tensor(alpha).double()[None,:,None]
    p = logp.exp()
    rest = torch.stack([p[:,[j for j in range(p.shape[1]) if j != k]].sum(1) for k in range(p.shape[1])], 1)
    return -(t*w*rest**gamma*logp).sum(1).mean(1)

def dice_formula(x, y, smooth):
    logp, t = by_classes(x, y)
    p, t = logp.exp()[:,1:], t[:,1:]
    return (1 - (2*(p*t).sum(2) + smooth)/(p.sum(2) + t.sum(2) + smooth)).mean(1)

def lovasz_loop(errors, truth, act):
    "The Lovasz extension by its definition: miss one pixel after the other, the most wrong first"
    n, missed, false, before, total = sum(truth), 0, 0, 1., 0.
    for i in np.argsort(-errors, kind='stable'):
        missed, false = missed + truth[i], false + (not truth[i])
        now = (n - missed)/(n + false)
        total, before = total + act(errors[i])*(before - now), now
    return total

def lovasz_formula(x, y, act):
    if x.shape[1] == 1:
        act = {'relu': lambda e: max(e, 0), 'elu': lambda e: e + 1 if e > 0 else np.exp(e)}[act]
        x, y = x.double().flatten(1).numpy(), y.flatten(1).numpy()
        return [lovasz_loop(1 - a*(2*b - 1), b.tolist(), act) for a, b in zip(x, y)]
    logp, t = by_classes(x, y)
    p, t = logp.exp().numpy(), t.numpy()
    one = lambda a, b: lovasz_loop(abs(b - a), b.tolist(), lambda e: e)
    return [np.mean([one(a, b) for a, b in zip(q, s) if b.any()]) for q, s in zip(p, t)]

@pytest.mark.parametrize('n', [1, 3])
@pytest.mark.parametrize('mask', ['empty', 'full', 'random'])
@pytest.mark.parametrize('size', [1., 10., 1e4])
def test_losses_against_formulas(n, mask, size):
    import torch
    from salt_identification.losses import BCELoss, DiceLoss, FocalLoss, LovaszHingeLoss
    torch.manual_seed(0)
    alpha = .3 if n == 1 else [.2, .3, .5]
    for bs, dtype in [(1, torch.float32), (3, torch.float32), (3, torch.bfloat16)]:
        y = dict(empty=torch.zeros(bs,7,9), full=torch.ones(bs,7,9), random=torch.randint(max(2, n), (bs,7,9)))
        y = y[mask].long()
        x = (torch.randn(bs,n,7,9)*size).to(dtype).requires_grad_()
        z = x.detach().float()
        pairs = [(BCELoss('none'), focal_formula(z, y, 0, None)),
            (FocalLoss(reduction='none'), focal_formula(z, y, 2, None)),
            (FocalLoss(1.5, alpha, 'none'), focal_formula(z, y, 1.5, alpha)),
            (FocalLoss(.5, reduction='none'), focal_formula(z, y, .5, None)),
            (DiceLoss(reduction='none'), dice_formula(z, y, 1)), (DiceLoss(.01, 'none'), dice_formula(z, y, .01)),
            *[(LovaszHingeLoss(act, 'none'), lovasz_formula(z, y, act)) for act in ('relu', 'elu')]]
        for loss, right in pairs:
            out = loss(x, y)
            np.testing.assert_allclose(out.detach().numpy(), np.asarray(right), rtol=1e-4, atol=1e-5, err_msg=loss.spec)
            grad, = torch.autograd.grad(out.sum(), x)
            assert torch.isfinite(grad).all(), loss.spec

@pytest.mark.parametrize('n', [1, 3])
def test_losses_against_smp(n):
    import torch
    smp = pytest.importorskip('segmentation_models_pytorch')
    from salt_identification.losses import DiceLoss, FocalLoss, LovaszHingeLoss
    mode = 'binary' if n == 1 else 'multiclass'
    for seed in range(5):
        torch.manual_seed(seed)
        x, y = torch.randn(3,n,8,9)*3, torch.randint(max(2, n), (3,8,9))
        y[0] = 0
        t = y[:,None].float() if n == 1 else y
        near = lambda a, b: torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
        near(LovaszHingeLoss('relu')(x, y), smp.losses.LovaszLoss(mode, per_image=True)(x, t))
        if n > 1: continue
        near(FocalLoss(3)(x, y), smp.losses.FocalLoss(mode, gamma=3)(x, t))
        near(FocalLoss(3, .2)(x, y), smp.losses.FocalLoss(mode, gamma=3, alpha=.2)(x, t))
        near(DiceLoss(0)(x[1:2], y[1:2]), smp.losses.DiceLoss(mode)(x[1:2], t[1:2]))

def test_a_loss_survives_its_text():
    "Losses put together at random are the same after the way through their spec"
    import random, torch
    from salt_identification.losses import ACTS, LOSSES, SumLoss, SwitchLoss, loss_spec, make_loss
    r = random.Random(0)
    number = lambda hi: r.choice([0, 1, r.random()*hi, 10**r.uniform(-9, 0)*hi])
    def one(reduction, depth=0):
        if depth < 2 and r.random() < .4:
            parts = [one(r.choice(['mean', 'sum', 'none']), depth + 1) for _ in range(r.randint(1, 3))]
            return SumLoss(parts, [number(100) for _ in parts], reduction)
        name = r.choice(list(LOSSES))
        kw = dict(focal=dict(gamma=number(5), alpha=r.choice([None, number(1)])), dice=dict(smooth=number(100)))
        kw = kw.get(name, {})
        if 'lovasz' in name: kw = dict(act=r.choice(list(ACTS)))
        return LOSSES[name](**kw, reduction=reduction)
    torch.manual_seed(0)
    x, y = torch.randn(2,1,6,6), torch.randint(2, (2,6,6))
    for _ in range(200):
        kind = r.choice(['mean', 'sum', 'none'])
        loss = one(kind) if r.random() < .6 else SwitchLoss(one('mean'), one('sum'), number(20), kind)
        again = make_loss(loss_spec(loss))
        assert loss_spec(again) == loss_spec(loss)
        for far in (0., 1.):
            loss.progress = again.progress = far
            torch.testing.assert_close(again(x, y), loss(x, y), rtol=1e-5, atol=1e-6)

TGS = Path(__file__).resolve().parent.parent.parent/'shared'/'tgs'

@pytest.mark.skipif(not TGS.exists(), reason='the challenge\'s files are not here')
def test_real_masks_equal_their_run_lengths():
    import pandas as pd
    from salt_identification.tiles import Survey
    s = Survey(TGS)
    table = pd.read_csv(TGS/'train.csv', keep_default_na=False).set_index('id')['rle_mask']
    for id in s.ids[::8]:
        assert (rle_decode(table[id]) == s.mask(id)).all() and rle_encode(s.mask(id)) == table[id]
