"""Does more training help? Draws the score on held-out tiles against the steps of runs of the same fold.

    python benchmarks/curves.py OUT.png NAME=RUN ... [--aim .835]

`RUN` is a folder that `saltid train` or `ablate.py` has made; its score is that of `history.csv`, one view and a threshold of .5.
"""
import argparse
from pathlib import Path

import pandas as pd

def smooth(x, n=5):
    "Running mean over `n` looks, so that neighbours can be told apart"
    return x.rolling(n, center=True, min_periods=1).mean()

def draw(runs, out, aim=None):
    "One curve a run: dots for each look, a line for their running mean"
    import matplotlib; matplotlib.use('Agg')
    import matplotlib.pyplot as plt
    fig, ax = plt.subplots(figsize=(7, 3.6), dpi=80, layout='constrained')
    for name, run in runs.items():
        h = pd.read_csv(Path(run)/'history.csv')
        line, = ax.plot(h.step, smooth(h.mean_precision), label=name)
        ax.plot(h.step, h.mean_precision, '.', color=line.get_color(), ms=3, alpha=.5)
    if aim: ax.axhline(aim, color='.5', lw=1, ls='--'); ax.annotate(f'{aim:g}', (0, aim), va='bottom', color='.5')
    ax.set_ylim(bottom=.7); ax.set_xlabel('steps of 32 tiles'); ax.set_ylabel('score, one view, threshold .5')
    ax.grid(alpha=.3); ax.legend(fontsize=8, loc='lower right')
    Path(out).parent.mkdir(parents=True, exist_ok=True); fig.savefig(out); plt.close(fig)

def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('out'); p.add_argument('runs', nargs='+', metavar='NAME=RUN'); p.add_argument('--aim', type=float)
    o = p.parse_args()
    draw(dict(r.split('=', 1) for r in o.runs), o.out, o.aim)

if __name__ == '__main__': main()
