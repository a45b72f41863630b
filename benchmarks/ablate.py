"""What is each ingredient worth? Trains the base and one change at a time, and compares them tile by tile.

    python benchmarks/ablate.py DATA --out DIR [--weights FILE] [--others FILE ...] [--minutes 8] [--seeds 0] [--only NAME ...] [--with JSON]

One run at a time; a run that is done is kept, one that was stopped goes on. Every run is a line of `benchmarks/runs.csv`
(also the bad ones), and the table in `DIR/ablations.md` is made anew after each. Runs by `--steps` do not depend on how
busy the machine is; those by `--minutes` count what a slower step costs. The grouped fifth of the labelled tiles that
`kept_out.py` names is in no run at all: no choice may be made on it.

`--with` changes the base itself, as JSON; that of an `hour` with weights: --with '{"tfms": {"affine": true, "light": true, "cutmix": true}}'.
Give it an `--out` of its own. On a GPU, where there is one, all of this runs there, in a fraction of the time.

`--others` are weights of other encoders, each a change of its own, named by its encoder. `--same-folds` keeps the folds of
seed 0 for every seed, so that two seeds differ by the training alone: give it a `--out` of its own. The config.json of each run
says in `note` what was left out and which folds it had: `load_run` alone would hold out other tiles than the run did.

Runs are judged by the mask that is expected to score best (`ExpectedCut(1, 0)`), so that nothing is chosen; judged.json and the
table of runs say it (`judge`). A run that was judged in another way is judged again, not trained again. What the recipes' own cut scores, whose sharpness
and shift are chosen on other held-out tiles, is noted beside it (`recipe`, `recipe_cut`; runs judged before 2026-11-28 lack it).

`--write` puts the table into `benchmarks/ABLATIONS.md`, with a chart.
"""
import argparse, csv, datetime, inspect, json, re
from pathlib import Path

import numpy as np
from fastai.callback.mixup import MixUp

from salt_identification import data
from salt_identification.augment import AffineTile
from salt_identification.neighbours import survey_groups
from salt_identification.files import new_file, read_json, write_json
from salt_identification.learner import load_run, resume_run, salt_learner, train_run, unseen_tiles
from salt_identification.metrics import ExpectedCut, cross_cut, paired_difference, tile_precision
from salt_identification.tiles import Survey
from salt_identification.training import read_numbers
from salt_identification.tta import predict_tiles
from salt_identification.unet import Unet, guess_encoder

import machine
from kept_out import kept_out

HERE = Path(__file__).resolve().parent
STRONG = dict(affine=dict(rotate=10., scale=.25, shift=.1, shear=.2, p=.85),
    light=dict(brightness=.12, contrast=.3, p=.8))
BASES = dict(weights=dict(attention='scse', dropout=.1, loss='bce>symlovasz@0.33', encoder_rate=.33,
    tfms=dict(affine=True, light=True)),
    random=dict(net='slim32', loss='bce>symlovasz@0.5', tfms=dict(affine=True, light=True)))
JUDGE = 'expected' # ExpectedCut(1, 0); before 2026-11-26 a cut chosen on other tiles, and judged.json had no such key
KEPT_OUT = 'trained on the survey without the fifth that kept_out.py names: load_run without that survey holds out other tiles than this run did'
SAME_FOLDS = '; the folds are those of seed 0 whatever the seed (--same-folds)'

def only_affine(name):
    "Arguments of `AffineTile` by which nothing but `name` moves a tile, as far as it does by default"
    return dict(rotate=0., scale=0., shift=0., shear=0.) | {name: inspect.signature(AffineTile).parameters[name].default}

def changes(base):
    "name -> what changes; a loss that switches does so where that of `base` does, and to the same one, so that one thing changes at a time"
    later, _, at = base['loss'].partition('>')[2].partition('@')
    later, at = later or 'symlovasz', at or '0.5'
    return {
        'flips only': dict(tfms=dict(flip=True)), 'affine': dict(tfms=dict(affine=True)),
        'affine and light': dict(tfms=dict(affine=True, light=True)),
        'shear alone': dict(tfms=dict(affine=only_affine('shear'))), 'scale alone': dict(tfms=dict(affine=only_affine('scale'))),
        'strong affine and light': dict(tfms=STRONG), 'dihedral': dict(tfms=dict(dihedral=True)),
        'CutMix': dict(tfms=dict(affine=True, light=True, cutmix=True)), 'no augmentation': dict(tfms=dict(flip=False)),
        'BCE': dict(loss='bce'), 'focal': dict(loss='focal'), 'Dice': dict(loss='bce+dice'),
        'Lovasz from the start': dict(loss=later), 'Lovasz from 2/3': dict(loss=f'bce>{later}@0.67'),
        'one-sided Lovasz': dict(loss=f'bce>lovasz@{at}'), 'symmetric Lovasz': dict(loss=f'bce>symlovasz@{at}'),
        'Lovasz with ReLU': dict(loss=f'bce>{later}(act=relu)@{at}'),
        'BCE, then Lovasz and BCE': dict(loss=f'bce>{later}+0.5*bce@{at}'),
        'no scSE': dict(attention=None), 'scSE': dict(attention='scse'), 'self-attention': dict(attention='self'),
        'no dropout': dict(dropout=0.), 'dropout .3': dict(dropout=.3), 'drop path .2': dict(drop_path=.2),
        'wider decoder': dict(widths=[256, 128, 64, 32]), 'joins the image': dict(full_res=True), 'mirrored rim of 13': dict(pad=13), 'enlarged 1.11 times': dict(zoom=1.11), 'enlarged 1.27 times': dict(zoom=1.27), # to 112 and 128 pixels of 101
        'enlarged 1.6 times': dict(zoom=1.6), 'enlarged 1.9 times': dict(zoom=1.9), 'enlarged twice': dict(zoom=2.), # to 160, 192, 202
        'shuffle': dict(up='shuffle'), 'transposed': dict(up='transpose'), 'one convolution': dict(convs=1),
        'hypercolumn': dict(hypercolumn=True), 'deep supervision': dict(deep=True),
        'presence loss': dict(loss=f'bce+0.1*presence>{later}+0.1*presence@{at}'),
        'coordinate channels': dict(coords=True), 'MixUp': dict(cbs=[MixUp(.4)]),
        'weight decay .1': dict(wd=.1), 'weight decay 0': dict(wd=0.), 'no EMA': dict(ema=0.),
        'slower EMA': dict(ema=.998), # which an average reaches after 4,490 steps, being min(ema, (1+n)/(10+n)) after n
        'rate halved': dict(lr=1e-3), 'rate doubled': dict(lr=4e-3),
        'three cosine cycles': dict(cycles=3), 'encoder at full rate': dict(encoder_rate=1.),
        'encoder at a tenth': dict(encoder_rate=.1), 'batch 16': dict(bs=16), 'batch 64': dict(bs=64)}

ONLY_RANDOM = {'slim24': dict(net='slim24'), 'slim48': dict(net='slim48'), 'ResNet18': dict(net='resnet18'),
    'Unet34': dict(net='unet34', attention=None, dropout=0.)}

def settled(args):
    "Arguments with the defaults of what is not said, so that one that says a default is known as no change"
    defaults = {k: p.default for fn in (Unet, salt_learner, train_run)
        for k, p in inspect.signature(fn).parameters.items()}
    return defaults | args

def variants(track, others=()):
    "name -> arguments; what changes nothing in the base is left out"
    base = BASES[track]
    some = changes(base) | (ONLY_RANDOM if track == 'random' else {}) | {n: dict(weights=f, net=n)
        for f in others for n in [guess_encoder(f)]}
    return dict(base=base) | {n: base | c for n, c in some.items() if settled(base | c) != settled(base)}

def doubtful(tiles):
    "Names of labelled tiles whose mask is the same in every row of a column, or that have no more than 50 pixels of salt"
    area = (tiles.masks > 0).sum((1,2))
    return [i for i, odd in zip(tiles.ids, np.asarray(tiles.vertical) | (area > 0) & (area <= 50)) if odd]

def said(args):
    "Arguments as a line of the table of runs says them"
    short = dict(weights=lambda v: Path(v).name, leave_out=lambda v: f'{len(v)} tiles',
        cbs=lambda v: [type(c).__name__ for c in v], net=lambda v: v if isinstance(v, str) else type(v).__name__)
    return json.dumps({k: short.get(k, lambda v: v)(v) for k, v in args.items()}, default=str)

def note(row, path):
    "A line more in the table of runs, unless it is there; older lines may lack a column"
    path, row = Path(path), {k: str(v) for k, v in row.items()}
    rows = list(csv.DictReader(path.open(newline=''))) if path.exists() else []
    if row in rows: return
    with new_file(path, overwrite=True) as f, f.open('w', newline='') as g:
        w = csv.DictWriter(g, list(dict.fromkeys(k for r in [*rows, row] for k in r)), restval='')
        w.writeheader(); w.writerows([*rows, row])

def only(survey, places):
    "The survey with the labelled tiles at `places` alone, their groups known"
    some = Survey(survey.path)
    some.depths, some.ids = survey.depths, [i for i, k in zip(survey.train.ids, places) if k]
    some._groups = survey_groups(survey)[places]
    return some

def judge(run, survey):
    "Held-out tiles of a run: ids, groups, score of each (flip TTA, the mask that is expected to score best), without TTA at .5, and with flip TTA as a recipe cuts"
    learn = load_run(run, survey)
    tiles = unseen_tiles(learn, run)
    maps, plain = (predict_tiles(learn, tiles, tta, 64).mean[:,0].numpy() for tta in ('flip', 'none'))
    place = {i: k for k, i in enumerate(survey.train.ids)}
    groups = survey_groups(survey)[[place[i] for i in tiles.ids]]
    best, plain = (tile_precision(m > 0, tiles.masks > 0) for m in (ExpectedCut(1., 0.).apply(maps), plain > .5))
    recipe = cross_cut(maps, tiles.masks > 0, groups, min(5, len(np.unique(groups))), expected=True).precision
    return list(tiles.ids), groups.tolist(), best, plain, recipe

def folder_of(out, track, name, seed):
    "The folder of a run, whatever signs its name has"
    return Path(out)/re.sub(r'[\s/\\:*?"<>|]+', '_', f'{track} {name} {seed}')

def judged(run):
    "What judged.json of a run says, if it was judged as runs are judged now; else None"
    done = read_json(run/'judged.json') if (run/'judged.json').exists() else {}
    return done if done.get('judge') == JUDGE else None

def finish(run, survey, seed, length, args, remark=None):
    "Train a run to its end, unless it is there; `remark` is noted in its config"
    if (run/'config.json').exists(): resume_run(run, survey, quiet=True, cbs=args.get('cbs'))
    else: train_run(survey, run, seed=seed, keep='last', quiet=True, **length, **args)
    config = read_json(run/'config.json')
    if remark and config.get('note') != remark:
        write_json(run/'config.json', config | dict(note=remark), overwrite=True)
    return config

def one(survey, out, track, name, args, seed, length, csv_path, remark=None):
    "Train and judge one run, or what of it is not done yet"
    run = folder_of(out, track, name, seed)
    if (run/'config.json').exists():
        was = read_json(run/'config.json')['train']
        assert all(was[k] == v
            for k, v in length.items()), f'{run} was begun with another length; give this one an --out of its own'
    if judged(run): return
    before = read_json(run/'judged.json') if (run/'judged.json').exists() else None
    again = ', judged again' if before else ''
    print(f'{datetime.datetime.now():%H:%M} {track}: {name}, seed {seed}{again}', flush=True)
    config = finish(run, survey, seed, length, args, remark)
    ids, groups, best, plain, recipe = judge(run, survey)
    assert not before or before['ids'] == ids, f'{run} held out other tiles when it was judged before; use the arguments of that time (--same-folds?)'
    done = read_numbers(run/'last.safetensors') # as carried out, which a run of minutes may not have planned at first
    steps, minutes = done['plan']['ends'][-1], f'{done["spent"]/60:.1f}'
    note(dict(date=f'{datetime.date.today()}', machine=machine.name(), track=track, ingredient=name,
        seed=seed, steps=steps, minutes=minutes, settings=said(args), precision=config['precision'],
        tiles=len(ids), single=f'{plain.mean():.4f}', flip_and_cut=f'{best.mean():.4f}', judge=JUDGE,
        recipe_cut=f'{recipe.mean():.4f}'), csv_path)
    write_json(run/'judged.json', dict(track=track, name=name, seed=seed, judge=JUDGE, ids=ids, groups=groups,
        cut=best.tolist(), plain=plain.tolist(), recipe=recipe.tolist()), overwrite=True)

def compared(out, track):
    "(scores of the base by seed, [(name, difference, low, high, seeds)], the best first), paired by tile, neighbours together; runs that were judged otherwise are left out"
    done = [d for p in sorted(Path(out).glob(f'{track}_*/judged.json')) for d in [judged(p.parent)] if d]
    base = {d['seed']: d for d in done if d['name'] == 'base'}
    rows = []
    for name in dict.fromkeys(d['name'] for d in done if d['name'] != 'base'):
        pairs = [(d, base[d['seed']]) for d in done if d['name'] == name and d['seed'] in base]
        if not pairs: continue
        for d, b in pairs: assert d['ids'] == b['ids'], f'{name}, seed {d["seed"]}: {out} holds out other tiles in it than in its base; give it a folder of its own'
        a, b = (np.concatenate([p[i]['cut'] for p in pairs]) for i in (0, 1))
        rows.append((name, *paired_difference(a, b, np.concatenate([p[0]['groups'] for p in pairs])), len(pairs)))
    return {s: float(np.mean(d['cut'])) for s, d in base.items()}, sorted(rows, key=lambda r: -r[1])

def table(out, track):
    "Each ingredient against the base as Markdown: mean difference over seeds and its interval"
    base, rows = compared(out, track)
    head = [f'Base ({track}): {", ".join(f"{v:.3f}" for v in base.values())}', '',
        '| ingredient | difference | 95 % interval | seeds |', '|---|---|---|---|']
    return '\n'.join([*head, *[f'| {n} | {d:+.3f} | {lo:+.3f} to {hi:+.3f} | {k} |' for n, d, lo, hi, k in rows], ''])

def chart(rows, path):
    "Differences of `compared` with their intervals, the best on top; fewer than three seeds are a screen, and hollow"
    import matplotlib; matplotlib.use('Agg')
    import matplotlib.pyplot as plt
    fig, ax = plt.subplots(figsize=(7, 1 + .3*len(rows)), dpi=80, layout='constrained')
    ax.axvline(0, color='.5', lw=1)
    for k, (_, d, lo, hi, seeds) in enumerate(rows[::-1]):
        ax.plot([lo, hi], [k, k], color='#3b7ea1', ls='-' if seeds > 2 else ':')
        ax.plot(d, k, 'o', color='#3b7ea1', mfc='#3b7ea1' if seeds > 2 else 'white')
    ax.set_yticks(range(len(rows)), [r[0] for r in rows[::-1]])
    ax.set_xlabel('score against the base, 95 % interval (hollow: fewer than three seeds)', loc='right')
    path.parent.mkdir(parents=True, exist_ok=True); fig.savefig(path); plt.close(fig)

def write(out, track, how, path=HERE/'ABLATIONS.md', images=HERE.parent/'docs'/'images'):
    "The table into its section of ABLATIONS.md, what is said around it stays; or a new section"
    image = f'ablations_{track}.png'
    chart(compared(out, track)[1], images/image)
    title = dict(weights='With ImageNet weights', random='From random weights')[track]
    head, *sections = path.read_text(encoding='utf-8').split('\n## ')
    new = f'{title}\n\n{how}\n\n![Differences with their intervals](../docs/images/{image})\n\n{table(out, track)}'
    old = next((k for k, r in enumerate(sections) if r.startswith(title)), None)
    if old is None: sections.append(new)
    else: sections[old] = re.sub(r'Base \([^\n]*\n\n(\|[^\n]*\n?)+', lambda m: table(out, track), sections[old], count=1)
    with new_file(path, overwrite=True) as f: f.write_text('\n## '.join([head, *sections]), encoding='utf-8')

def same_base(out, track, given={}):
    "A folder is for one base: runs of another, or from other weights (`given`), would be compared with it; older notes lack the weights"
    noted, base = out/f'base_{track}.json', json.loads(json.dumps(given | BASES[track]))
    if 'weights' in base: base['weights'] = Path(base['weights']).name
    was = json.loads(noted.read_text(encoding='utf-8')) if noted.exists() else base
    if was != {k: v for k, v in base.items() if k in was or k not in given}:
        raise SystemExit(f'{out} was begun with another base, {json.dumps(was)}; '
            'give the same --with and --weights, or an --out of its own')
    noted.write_text(json.dumps(base), encoding='utf-8')

def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('data')
    p.add_argument('--out', required=True)
    p.add_argument('--weights')
    p.add_argument('--others', nargs='+', default=[])
    p.add_argument('--minutes', type=float, default=8.)
    p.add_argument('--steps', type=int)
    p.add_argument('--seeds', type=int, nargs='+', default=[0])
    p.add_argument('--only', nargs='+')
    p.add_argument('--with', dest='more', type=json.loads, default={})
    p.add_argument('--same-folds', action='store_true')
    p.add_argument('--csv', default=HERE/'runs.csv')
    p.add_argument('--write', action='store_true', help='into ABLATIONS.md')
    o = p.parse_args()
    if o.more and o.write: p.error('--write is for the tables of the usual base; leave out --with, or write it by hand')
    if o.same_folds: data.make_folds = lambda tiles, n_folds, seed, groups, dealt=data.make_folds: dealt(tiles,
        n_folds, 0, groups)
    remark = KEPT_OUT + SAME_FOLDS*o.same_folds
    out, track = Path(o.out), 'weights' if o.weights else 'random'
    survey = Survey(o.data)
    small = only(survey, ~kept_out(survey))
    out.mkdir(parents=True, exist_ok=True)
    given = dict(weights=o.weights, net=guess_encoder(o.weights)) if o.weights else {}
    BASES[track] = BASES[track] | o.more
    same_base(out, track, given)
    some = variants(track,
        o.others) | {'doubtful labels left out': BASES[track] | dict(leave_out=doubtful(small.train))}
    wanted = {n: a for n, a in some.items() if not o.only or n in o.only or n == 'base'}
    for seed in o.seeds:
        for k, (name, args) in enumerate(wanted.items(), 1):
            one(small, out, track, name, given | args, seed,
                dict(steps=o.steps) if o.steps else dict(minutes=o.minutes), Path(o.csv), remark)
            lost = set(list(wanted)[:k]) - {'base'} - {r[0] for r in compared(out, track)[1]}
            assert not lost, f'judged, but not in the table: {", ".join(sorted(lost))}'
            (out/'ablations.md').write_text(table(out, track))
    print(table(out, track))
    how = f'{o.steps} steps' if o.steps else f'{o.minutes:g} minutes'
    if o.write: write(out, track,
        f'{how} each, {datetime.date.today()}, {machine.name()}; judged by the mask that is expected to score best.')

if __name__ == '__main__': main()
