"""Does a tile's neighbour in training flatter its score? Twice the same held-out tiles, with and without their neighbours.

    python benchmarks/leak.py DATA --out DIR [--weights FILE] [--steps 1400] [--seeds 0 1 2]

Ordinary folds, as most notebooks of the challenge deal them. `neighbours there` learns from tiles among which are those
that touch held-out ones, and leaves out as many others; `neighbours left out` does it the other way round, so both learn
from equally many tiles.
Base, steps and scores are those of `ablate.py`, and so are the tiles (the grouped fifth that `kept_out.py` names is in no
run). What is asked is the difference on the held-out tiles that touch; that on all others can only be chance, and is the
measure of it. One run at a time; a run that is done is kept.
"""
import argparse
from pathlib import Path

import numpy as np

from salt_identification.data import make_folds
from salt_identification.files import read_json
from salt_identification.metrics import paired_difference
from salt_identification.neighbours import known_neighbours
from salt_identification.tiles import Survey
from salt_identification.unet import guess_encoder

from ablate import BASES, folder_of, one, only
from kept_out import kept_out

HERE = Path(__file__).resolve().parent
REMARK = 'ordinary folds, and some tiles left out (leak.py), of the survey without the fifth that kept_out.py names'
THERE, GONE = 'neighbours there', 'neighbours left out'

def parted(tiles, pairs, seed):
    "For fold 0 of ordinary folds: which held-out tiles touch a tile to learn from (N,) bool, and the names that each run leaves out"
    held = make_folds(tiles, 5, seed) == 0
    across = pairs[held[pairs.a] != held[pairs.b]]
    touch = np.zeros(len(tiles), bool)
    touch[np.union1d(across.a, across.b)] = True
    near = np.flatnonzero(touch & ~held)
    far = np.random.default_rng(seed).choice(np.flatnonzero(~touch & ~held), len(near), replace=False)
    names = lambda at: [tiles.ids[k] for k in sorted(at)]
    return touch & held, {THERE: names(far), GONE: names(near)}

def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('data'); p.add_argument('--out', required=True); p.add_argument('--weights')
    p.add_argument('--steps', type=int, default=1400); p.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    p.add_argument('--csv', default=HERE/'runs.csv')
    o = p.parse_args()
    out, track, survey = Path(o.out), 'weights' if o.weights else 'random', Survey(o.data)
    out.mkdir(parents=True, exist_ok=True)
    small = only(survey, ~kept_out(survey))
    pairs = known_neighbours([small.train], margin=1.5)
    args = BASES[track] | (dict(weights=o.weights, net=guess_encoder(o.weights)) if o.weights else {})
    found = []
    for seed in o.seeds:
        touch, left = parted(small.train, pairs[pairs.margin > 2], seed)
        touching = {small.train.ids[k] for k in np.flatnonzero(touch)}
        done = {}
        for name, names in left.items():
            how = args | dict(grouped=False, leave_out=names)
            one(small, out, track, name, how, seed, dict(steps=o.steps), Path(o.csv), REMARK)
            done[name] = read_json(folder_of(out, track, name, seed)/'judged.json')
        assert done[THERE]['ids'] == done[GONE]['ids']
        with_them, without = done[THERE], done[GONE]
        found += [(i in touching, g, a, b)
            for i, g, a, b in zip(with_them['ids'], with_them['groups'], with_them['cut'], without['cut'])]
        print(f'seed {seed}: {len(touching)} held-out tiles touch {len(left[GONE])} of those to learn from', flush=True)
    near, groups, there, gone = map(np.array, zip(*found))
    for what, some in (('that touch', near), ('the others', ~near)):
        d, low, high = paired_difference(there[some], gone[some], groups[some])
        print(f'held-out tiles {what}: {some.sum()}; {gone[some].mean():.4f} without their neighbours; '
            f'with them {d:+.4f} ({low:+.3f} to {high:+.3f})', flush=True)

if __name__ == '__main__': main()
