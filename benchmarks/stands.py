"""Draw what the recipes score against the minutes that they take, beside their aims.

    python benchmarks/stands.py

The numbers are read from the table of "Where it stands" in RESULTS.md: the score on the fifth of the labelled tiles that is kept out, one run each.
"""
import re
from pathlib import Path

HERE = Path(__file__).resolve().parent
MINUTES = [10, 60, 150]
TRACKS = {'ImageNet weights (lite0)': '#3b7ea1', 'random weights': '#c06020'}

def table(text):
    "For each track the scores of the three recipes, their aims, and scores of other forms as (minutes, score)"
    rows = re.findall(r'^\| `(?:quick|hour|evening)`[^|]*\|([^|]+)\|([^|]+)\|([^|]+)\|', text.split('\n## Where it stands')[1].split('\n## ')[0], re.M)
    assert len(rows) == len(MINUTES), 'the table of "Where it stands" has another form'
    numbers = lambda cell: [float(n) for n in re.findall(r'\.\d+', cell)] # estimate, score, and those of other forms
    cells = [[numbers(r[k]) for r in rows] for k in (0, 1, 2)]
    return [([n[1] for n in cells[k]], [n[k] for n in cells[2]], [(m, n[3]) for m, n in zip(MINUTES, cells[k]) if len(n) > 3])
        for k in (0, 1)]

def main():
    import matplotlib; matplotlib.use('Agg')
    import matplotlib.pyplot as plt
    fig, ax = plt.subplots(figsize=(6.2, 3.6), dpi=80, layout='constrained')
    for (name, colour), (scores, aims, others) in zip(TRACKS.items(), table((HERE/'RESULTS.md').read_text(encoding='utf-8'))):
        ax.plot(MINUTES, scores, 'o-', color=colour, label=name)
        ax.plot(MINUTES, aims, ':', marker='_', ms=12, mew=2, color=colour, label=f'aims, {name.split(" (")[0]}')
        if others: ax.plot(*zip(*others), 'o', mfc='white', color=colour, label=f'other forms, {name.split(" (")[0]}')
    ax.set_xscale('log'); ax.set_xticks(MINUTES, MINUTES); ax.minorticks_off(); ax.grid(alpha=.3); ax.set_xlim(8.5, 240)
    ax.set_xlabel('minutes of the whole recipe, two cores'); ax.set_ylabel('score'); ax.legend(fontsize=8, loc='lower right')
    fig.savefig(HERE.parent/'docs'/'images'/'stands.png'); plt.close(fig)

if __name__ == '__main__': main()
