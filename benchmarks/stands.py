"""Draw what the recipes score against the minutes that they take, beside their aims.

    python benchmarks/stands.py

The numbers are those of "Where it stands" in RESULTS.md: the score on the fifth of the labelled tiles that is kept out, one run
each.
"""
from pathlib import Path

MINUTES = [10, 60, 150]
TRACKS = {'ImageNet weights (lite0)': ('#3b7ea1', [.76, .835, .85], [.816, .829, .832]),
    'random weights': ('#c06020', [.64, .76, .80], [.784, .801, .817])}
OTHERS = [(60, .833, 'an earlier hour'), (150, .8465, 'evening with lite2')]

def main():
    import matplotlib; matplotlib.use('Agg')
    import matplotlib.pyplot as plt
    fig, ax = plt.subplots(figsize=(6.2, 3.6), dpi=80, layout='constrained')
    for name, (colour, aims, scores) in TRACKS.items():
        ax.plot(MINUTES, scores, 'o-', color=colour, label=name)
        ax.plot(MINUTES, aims, ':', marker='_', ms=12, mew=2, color=colour, label=f'aims, {name.split(" (")[0]}')
    for x, y, text in OTHERS:
        ax.plot(x, y, 'o', mfc='white', color='#3b7ea1'); ax.annotate(text, (x, y), (-6, 6), textcoords='offset points', fontsize=8, ha='right')
    ax.set_xscale('log'); ax.set_xticks(MINUTES, MINUTES); ax.minorticks_off(); ax.grid(alpha=.3); ax.set_xlim(8.5, 240)
    ax.set_xlabel('minutes of the whole recipe, two cores'); ax.set_ylabel('score'); ax.legend(fontsize=8, loc='lower right')
    fig.savefig(Path(__file__).resolve().parent.parent/'docs'/'images'/'stands.png'); plt.close(fig)

if __name__ == '__main__': main()
