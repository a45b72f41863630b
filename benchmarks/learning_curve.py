"""What are more labelled tiles worth? Trains on growing shares of them, and scores the same tiles each time.

    python benchmarks/learning_curve.py DATA --out DIR [--weights FILE] [--shares .125 .25 .5 1] [--steps 1400] [--write]

Base, steps and scores are those of `ablate.py`; a share keeps tiles together that touch, and smaller shares are parts of larger
ones. One run at a time; a run that is done is kept. `--write` draws `docs/images/learning_curve.png`.
"""
import argparse
from pathlib import Path

import numpy as np

from salt_identification import data
from salt_identification.neighbours import survey_groups
from salt_identification.files import read_json
from salt_identification.metrics import score_interval
from salt_identification.tiles import Survey
from salt_identification.unet import guess_encoder

from ablate import BASES, folder_of, one, only
from kept_out import kept_out

HERE = Path(__file__).resolve().parent
REMARK = 'the folds are those of the whole survey (learning_curve.py), and some of the tiles alone are here: load_run holds out other tiles than this run did'

def shares_of(survey, folds, shares):
    "share -> places: of the tiles outside of fold 0 about that share, groups whole, and all of fold 0"
    groups = survey_groups(survey)
    order = np.random.default_rng(0).permutation(groups.max() + 1)[groups]
    rank = np.empty(len(folds)); rank[np.lexsort((order,))] = np.arange(len(folds))/len(folds)
    cut = lambda s: np.quantile(rank[folds != 0], s)
    ends = {s: order[np.argmin(abs(rank - cut(s)))] for s in shares}
    return {s: (folds == 0) | (order <= ends[s]) for s in shares}

def draw(rows, path):
    "Score against the number of tiles learned from"
    import matplotlib; matplotlib.use('Agg')
    import matplotlib.pyplot as plt
    n, score, low, high = np.array(rows).T
    fig, ax = plt.subplots(figsize=(5.5, 3), dpi=80, layout='constrained')
    ax.fill_between(n, low, high, color='#3b7ea1', alpha=.2, lw=0); ax.plot(n, score, 'o-', color='#3b7ea1')
    ax.set_xscale('log'); ax.set_xticks(n, [f'{k:.0f}' for k in n]); ax.minorticks_off(); ax.grid(alpha=.3)
    ax.set_xlabel('labelled tiles learned from'); ax.set_ylabel('score of the held-out tiles')
    path.parent.mkdir(parents=True, exist_ok=True); fig.savefig(path); plt.close(fig)

def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('data'); p.add_argument('--out', required=True)
    p.add_argument('--weights'); p.add_argument('--shares', type=float, nargs='+', default=[.125, .25, .5, 1.])
    p.add_argument('--steps', type=int, default=1400); p.add_argument('--csv', default=HERE/'runs.csv')
    p.add_argument('--write', action='store_true', help='draw the curve for the docs')
    o = p.parse_args()
    out, track, survey = Path(o.out), 'weights' if o.weights else 'random', Survey(o.data)
    out.mkdir(parents=True, exist_ok=True)
    small = only(survey, ~kept_out(survey))
    folds = data.make_folds(small.train, 5, 0, survey_groups(small))
    known = dict(zip(small.train.ids, folds))
    data.make_folds = lambda tiles, *_: np.array([known[i] for i in tiles.ids]) # the same tiles are held out, however few are left
    args, rows = BASES[track] | (dict(weights=o.weights, net=guess_encoder(o.weights)) if o.weights else {}), []
    for share, places in shares_of(small, folds, sorted(o.shares)).items():
        name = f'{share:g} of the tiles'
        one(only(small, places), out, track, name, args, 0, dict(steps=o.steps), Path(o.csv), REMARK)
        done = read_json(folder_of(out, track, name, 0)/'judged.json')
        cut = np.array(done['cut'])
        rows.append((int((places & (folds != 0)).sum()), cut.mean(), *score_interval(cut, done['groups'])))
        print(f'{rows[-1][0]} tiles: {cut.mean():.4f} ({rows[-1][2]:.3f} to {rows[-1][3]:.3f})', flush=True)
    if o.write: draw(rows, HERE.parent/'docs'/'images'/'learning_curve.png')

if __name__ == '__main__': main()
