"""What takes hours of `make bench-full`: growth of time and memory, and the score at equal minutes. Goes on where it was stopped.

Each measurement is a JSON file in the folder; one that is there is not made again. Curves go to `docs/images/growth.png`.
"""
import datetime, json, math, resource, statistics, tempfile, time
from pathlib import Path

import bench, machine

COUNTS, SIDES, BATCHES = (1000, 3000, 10_000, 30_000, 100_000), (64, 101, 128, 256, 512, 1024), (4, 8, 16, 32, 64, 128)
MINUTES, SEEDS = 10, (0, 1, 2)

def once(folder, name, fn):
    "What `fn` gives, from the file `name` if it is there"
    p = Path(folder)/f'{name}.json'
    if p.exists(): return json.loads(p.read_text())
    print(f'{datetime.datetime.now():%H:%M} {name}', flush=True)
    got = fn()
    part = p.with_suffix('.part'); part.write_text(json.dumps(got, indent=1)); part.replace(p)
    return got

def count_worker(n):
    "Seconds and peak MiB of predicting `n` tiles with a narrow net"
    from salt_identification.submission import predict_submission
    with tempfile.TemporaryDirectory() as d:
        d = Path(d)
        data = bench.make_survey(d/'data', 40, copies=int(n))
        bench.make_run(data, d/'run', 'slim8')
        t = time.perf_counter()
        predict_submission(d/'run', data, d/'out.csv')
        return dict(seconds=time.perf_counter() - t, mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss/1024)

def side_worker(side, bs):
    "Seconds a tile of training and predicting the default net on tiles of a side, in batches of `bs`"
    import torch
    from salt_identification.losses import make_loss
    from salt_identification.training import autocast, fastest_precision
    from salt_identification.unet import Unet
    side, bs = int(side), int(bs)
    torch.manual_seed(0)
    net = Unet('slim32').to(memory_format=torch.channels_last)
    x, y = torch.randn(bs, 1, side, side).to(memory_format=torch.channels_last), (torch.rand(bs, side, side) > .6).long()
    precision, cpu, loss = fastest_precision(net, torch.device('cpu'), (side, side), 1), torch.device('cpu'), make_loss('bce')
    opt = torch.optim.AdamW(net.parameters(), 1e-4, fused=True)
    def train():
        with autocast(precision, cpu): logits = net(x)
        loss(logits.float(), y).backward(); opt.step(); opt.zero_grad()
    def infer():
        with torch.inference_mode(), autocast(precision, cpu): net(x)
    n = max(2, min(10, 4_000_000//(bs*side*side)))
    net.train(); a = statistics.median(bench._best(train, n))/bs
    net.eval(); b = statistics.median(bench._best(infer, n))/bs
    return dict(train=a, infer=b, precision=precision, mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss/1024)

def half_cosine(share):
    "From 1 at the start to 0 at the end of a training; `share` of it is done"
    return .5 + .5*math.cos(math.pi*min(1, max(0, share)))

def score_worker(who, data, seed):
    "Held-out score after so many minutes: flip TTA, and a cut chosen on other tiles than it is scored on"
    import torch
    from salt_identification.data import make_folds
    from salt_identification.neighbours import survey_groups
    from salt_identification.learner import train_run
    from salt_identification.metrics import cross_cut
    from salt_identification.tiles import Survey
    from salt_identification.tta import predict_tiles
    survey, seed = Survey(data), int(seed)
    groups = survey_groups(survey)
    if who == 'ours':
        with tempfile.TemporaryDirectory() as d:
            learn = train_run(survey, Path(d)/'run', MINUTES, seed=seed, fold=0, quiet=True)
            tiles = learn.dls.valid_tiles
            probs = predict_tiles(learn, tiles, 'flip').mean[:,0].numpy()
    else:
        import peers
        valid = make_folds(survey.train, 5, seed, groups) == 0
        train, tiles = survey.train[~valid], survey.train[valid]
        start, loop = time.monotonic(), peers.HandLoop(train.images, train.masks, seed=seed)
        share = lambda: (time.monotonic() - start)/(MINUTES*60*.97)
        while share() < .98: loop.train(lambda done: 1e-3*min(1, done/100)*max(.01, half_cosine(share())))
        probs = loop.probs(tiles.images, flip=True)
    place = {i: k for k, i in enumerate(survey.train.ids)}
    c = cross_cut(probs, tiles.masks, groups[[place[i] for i in tiles.ids]])
    return dict(score=c.score, tiles=len(tiles), precision=c.precision.tolist())

bench.WORKERS |= dict(count=count_worker, side=side_worker, score=score_worker)

def draw(counts, sides, batches, path):
    "The curves"
    import matplotlib; matplotlib.use('Agg')
    import matplotlib.pyplot as plt
    fig, axs = plt.subplots(1, 4, figsize=(13,3), dpi=80, layout='constrained')
    for ax, key, unit in ((axs[0], 'seconds', 'seconds'), (axs[1], 'mib', 'peak MiB')):
        ax.plot(list(counts), [c[key] for c in counts.values()], marker='o'); ax.set_xlabel('tiles predicted'); ax.set_ylabel(unit); ax.set_ylim(0)
    for what in ('train', 'infer'):
        axs[2].loglog([s*s for s in sides], [s[what] for s in sides.values()], marker='o', label=what)
        axs[3].plot(list(batches), [1000*b[what] for b in batches.values()], marker='o', label=what)
    axs[2].set_xlabel('pixels of a tile'); axs[2].set_ylabel('seconds a tile'); axs[3].set_xlabel('tiles in a batch'); axs[3].set_ylabel('ms a tile'); axs[3].set_ylim(0); axs[2].legend(); axs[3].legend()
    path.parent.mkdir(parents=True, exist_ok=True); fig.savefig(path)

def run(folder, data=None, size=bench.SIZES):
    folder.mkdir(parents=True, exist_ok=True)
    small = size == bench.SMALL
    counts = {n: once(folder, f'count{n}', lambda n=n: bench.worker('count', n)) for n in ((50, 100) if small else COUNTS)}
    sides = {s: once(folder, f'side{s}', lambda s=s: bench.worker('side', s, max(1, min(32, 2**21//s**2)))) for s in ((32, 64) if small else SIDES)}
    batches = {b: once(folder, f'batch{b}', lambda b=b: bench.worker('side', 101, b)) for b in ((2, 4) if small else BATCHES)}
    draw(counts, sides, batches, folder/'growth.png' if small else bench.HERE.parent/'docs'/'images'/'growth.png')
    lines = ['| tiles | seconds | peak MiB |', '|---|---|---|', *[f'| {n} | {c["seconds"]:.1f} | {c["mib"]:.0f} |' for n, c in counts.items()], '',
        '| side | train, ms a tile | infer, ms a tile | ns a pixel (train) |', '|---|---|---|---|', *[f'| {s} | {1e3*v["train"]:.2f} | {1e3*v["infer"]:.2f} | {1e9*v["train"]/s**2:.0f} |' for s, v in sides.items()], '',
        '| batch | train, ms a tile | infer, ms a tile |', '|---|---|---|', *[f'| {b} | {1e3*v["train"]:.2f} | {1e3*v["infer"]:.2f} |' for b, v in batches.items()], '']
    if data:
        pairs = {(w, s): once(folder, f'score_{w}_{s}', lambda w=w, s=s: bench.worker('score', w, data, s)) for s in SEEDS for w in ('ours', 'smp_best')}
        mean = {w: statistics.mean(pairs[w, s]['score'] for s in SEEDS) for w in ('ours', 'smp_best')}
        found = dict(difference=mean['ours'] - mean['smp_best'], scores={w: [pairs[w, s]['score'] for s in SEEDS] for w in mean}, minutes=MINUTES, date=f'{datetime.date.today()}', machine=machine.name())
        (bench.HERE/'score_kept.json').write_text(json.dumps(found, indent=1))
        lines += [f'Score after {MINUTES} minutes, seeds {SEEDS}: ' + '; '.join(f'{w} ' + ', '.join(f'{v:.3f}' for v in found['scores'][w]) for w in mean) + f'; difference {found["difference"]:+.3f}', '']
    text = '\n'.join([f'## Growth ({datetime.date.today()})', '', f'`make bench-full`. Machine: {machine.name()}. Curves: `docs/images/growth.png`.', '', *lines])
    (folder/'growth.md').write_text(text)
    if not small: bench.write_section(text)
    print(text)
