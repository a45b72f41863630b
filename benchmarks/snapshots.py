"""What do the snapshots of one training bring: each alone, their maps averaged, their weights averaged?

    python benchmarks/snapshots.py DATA RUN [BASE] [--kept-out]

RUN was trained with `cycles` (`saltid train DATA --cycles 3 --out RUN`), BASE for as many steps in one cycle, with the same tiles held out; of BASE it is
the net at the end, as the snapshots are of the ends, and not that of its best epoch. Those tiles
are asked in two views (flips), and the mask counts that is expected to score best (`ExpectedCut(1, 0)`), so nothing is chosen. Averaged weights (a "soup", or SWA with
one place a cycle) get new means and variances for their BatchNorms from one pass over the tiles that were learned from. Differences are to BASE, or else to the last
snapshot, tile by tile, neighbours drawn together. Runs of `ablate.py` have held out tiles of a smaller survey: write `--kept-out` for those.
"""
import argparse
from pathlib import Path

import torch
from torch.optim.swa_utils import update_bn

from salt_identification.files import SaltError
from salt_identification.learner import load_run, unseen_tiles
from salt_identification.metrics import ExpectedCut, paired_difference, tile_precision
from salt_identification.neighbours import survey_groups
from salt_identification.tiles import Survey
from salt_identification.tta import predict_tiles

from ablate import only
from kept_out import kept_out

def soup(learners):
    "The last of the learners, with the mean of all their weights"
    *_, last = learners
    states = [l.model.state_dict() for l in learners]
    last.model.load_state_dict({k: torch.stack([s[k] for s in states]).mean(0) if v.is_floating_point()
        else v for k, v in states[-1].items()})
    update_bn((b[0] for b in last.dls.train), last.model)
    return last

def compared(run, base, survey):
    "(score of the base, [(what, score, difference, low, high)]) on the tiles that the run has held out"
    numbers = sorted((int(p.stem) for p in (run/'snapshots').glob('*.safetensors')))
    if len(numbers) < 2: raise SaltError(f'run {run} has no snapshots; train it with more than one cycle (--cycles 3)')
    learners = [load_run(run, survey, state=k) for k in numbers]
    tiles = unseen_tiles(learners[-1], run)
    place = {i: k for k, i in enumerate(survey.train.ids)}
    groups = survey_groups(survey)[[place[i] for i in tiles.ids]]
    score = lambda l: tile_precision(ExpectedCut(1.,
        0.).apply(predict_tiles(l, tiles, 'flip', 64).mean[:,0].numpy()) > 0, tiles.masks > 0)
    found = {f'snapshot {k}': score(l) for k, l in zip(numbers, learners)}
    start = score(load_run(base, survey, state='last')) if base else found[f'snapshot {numbers[-1]}']
    if base: assert list(unseen_tiles(load_run(base, survey),
        base).ids) == list(tiles.ids), f'{base} has held out other tiles than {run}'
    found |= {f'maps of {n} averaged': score(learners[-n:]) for n in range(2, len(numbers) + 1)}
    found['weights of all averaged'] = score(soup(learners))
    return start.mean(), [(n, s.mean(), *paired_difference(s, start, groups)) for n, s in found.items()]

def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('data'); p.add_argument('run', type=Path)
    p.add_argument('base', type=Path, nargs='?'); p.add_argument('--kept-out', action='store_true')
    o = p.parse_args()
    survey = Survey(o.data)
    if o.kept_out: survey = only(survey, ~kept_out(survey))
    base, rows = compared(o.run, o.base, survey)
    print(f'{o.base or "the last snapshot"}: {base:.4f}',
        *(f'  {n}: {s:.4f}, {d:+.4f} ({lo:+.4f} to {hi:+.4f})' for n, s, d, lo, hi in rows), sep='\n')

if __name__ == '__main__': main()
