"""What do more views bring to nets that are trained already?

    python benchmarks/views.py DATA RUN [RUN ...]

Each run is asked about the tiles that it has held out: as they are (with their mirror images, as always), and from each of the views below;
then both together. The mask counts that is expected to score best (`ExpectedCut(1, 0)`), so nothing is chosen. Written is the score of the flips, what they
gain over the tile alone, and what each view brings alone and beside them, tile by tile, with the 95 % interval of the second, neighbours drawn together; for all runs together the mean gain.
Runs of `ablate.py` have held out tiles of a smaller survey: write `--kept-out` for those.
"""
import argparse
from pathlib import Path

import numpy as np
import torch

from salt_identification.augment import FarView, View, _affine, _read, crop_to, pad_to, resize_to
from salt_identification.learner import load_run, unseen_tiles
from salt_identification.metrics import ExpectedCut, paired_difference, tile_precision
from salt_identification.neighbours import survey_groups
from salt_identification.tiles import Survey
from salt_identification.tta import predict_tiles

from ablate import only
from kept_out import kept_out

class Move(View):
    "Any move with its way back, and then as `View` lays a tile down"
    def __init__(self, there, back, k): super().__init__(k); self.there, self.home = there, back
    def forward(self, x): return View.forward(self, self.there(x))
    def back(self, y): return self.home(View.back(self, y))

def moved(grow=1., right=0., down=0., lean=0.):
    "k -> a view of the tile grown, shifted by shares of its side, and leant"
    def maps(x):
        one = torch.ones(len(x))
        return _affine(0*one, one*grow, one*lean, torch.tensor([[right, down]]).expand(len(x), 2), x.shape[-2:])
    def back(y):
        m = maps(y); a = torch.linalg.inv(m[:,:,:2])
        return _read(y, torch.cat([a, -a @ m[:,:,2:]], 2), 'bilinear')
    return lambda k: Move(lambda x: _read(x, maps(x), 'bilinear'), back, k)

def larger(by):
    "k -> a view of the tile enlarged, in a larger picture"
    def view(k):
        size = []
        def there(x): size[:] = x.shape[-2:]; return resize_to(x, [round(n*by) for n in size])
        return Move(there, lambda y: resize_to(y, size if View(k).k < 4 else size[::-1]), k)
    return view

def rimmed(by):
    "k -> a view of the tile with a mirrored rim of `by` pixels"
    return lambda k: Move(lambda x: pad_to(x, [n + 2*by for n in x.shape[-2:]]),
        lambda y: crop_to(y, [n - 2*by for n in y.shape[-2:]]), k)

VIEWS = {f'a step back, to {s}': lambda k, s=s: FarView(k, s) for s in (.97, .94, .9)} | {'a step nearer, '
    'to 1.06': moved(1.06), 'right by .03': moved(right=.03),
    'down by .03': moved(down=.03), 'leant by .06': moved(lean=.06), 'enlarged .9 times': larger(.9),
    'enlarged 1.1 times': larger(1.1), 'enlarged 1.25 times': larger(1.25),
    'mirrored rim of 6': rimmed(6), 'mirrored rim of 13': rimmed(13)}

def gains(run, survey, views):
    "(score of the flips, what they gain over the tile alone, view -> (gain alone, gain beside the flips, its interval)) of one run on its held-out tiles"
    learn = load_run(run, survey, state='last') # the best epoch was chosen on these tiles
    tiles = unseen_tiles(learn, run)
    place = {i: k for k, i in enumerate(survey.train.ids)}
    groups = survey_groups(survey)[[place[i] for i in tiles.ids]]
    ask = lambda v, n=2: predict_tiles(learn, tiles, [v(k) for k in range(n)], 64).mean[:,0].numpy()
    score = lambda m: tile_precision(ExpectedCut(1., 0.).apply(m) > 0, tiles.masks > 0)
    flips = ask(View)
    base, out = score(flips), {}
    mirror = paired_difference(base, score(ask(View, 1)), groups)
    for name, v in views.items():
        maps = ask(v)
        out[name] = ((score(maps) - base).mean(), *paired_difference(score((maps + flips)/2), base, groups))
    return base.mean(), mirror, out

def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('data'); p.add_argument('runs', nargs='+', type=Path); p.add_argument('--kept-out',
        action='store_true'); p.add_argument('--only', nargs='*', help='views by name; none for the flips alone')
    o = p.parse_args()
    survey = Survey(o.data)
    if o.kept_out: survey = only(survey, ~kept_out(survey))
    views, found = {n: v for n, v in VIEWS.items() if o.only is None or n in o.only}, []
    mirrors = []
    for run in o.runs:
        base, mirror, gain = gains(run, survey, views)
        found.append(gain); mirrors.append(mirror[0])
        print('{}: {:.4f} with flips, {:+.4f} ({:+.4f} to {:+.4f}) against the tile alone'.format(run, base, *mirror),
            *(f'  {n}: alone {a:+.4f}, beside them {b:+.4f} ({lo:+.4f} to {hi:+.4f})'
            for n, (a, b, lo, hi) in gain.items()), sep='\n', flush=True)
    print(f'mean of {len(found)} runs: flips {np.mean(mirrors):+.4f} against the tile alone',
        *(f'  {n}: alone {np.mean([g[n][0] for g in found]):+.4f}, beside them {np.mean([g[n][1] for g in found]):+.4f}' for n in views), sep='\n')

if __name__ == '__main__': main()
