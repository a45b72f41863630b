"""What takes hours of `make bench-full`: growth of time and memory, and the score at equal minutes. Goes on where it was stopped.

Each measurement is a JSON file in the folder; one that is there, from the same machine, versions, data and minutes, is not made
again. Curves go to `docs/images/growth.png`. All of it on the CPU.
"""
import datetime, json, statistics, tempfile, time
from pathlib import Path

import bench, machine

COUNTS, SIDES, BATCHES = (1000, 3000, 10_000, 30_000, 100_000), (64, 101, 128, 256, 512, 1024), (4, 8, 16, 32, 64, 128)
MINUTES, SEEDS = 10, (0, 1, 2)
PEER = dict(lr=1e-3, ema=.99) # one rate, chosen by nobody: trying several on another fold takes hours
HOURS = 6*3600 # after which a measurement is given up

def fingerprint(**more):
    "What a measurement must have in common with one that is to be kept"
    found = machine.versions()
    return dict(machine=machine.name(), cores=machine.cores(),
        versions={k: found[k] for k in ('salt_identification', 'torch', 'segmentation-models-pytorch')
        if k in found}) | more

def once(folder, name, fn, **more):
    "What `fn` gives, from the file `name` if it is there and was made under the same `fingerprint`"
    p, mark = Path(folder)/f'{name}.json', fingerprint(**more)
    got = json.loads(p.read_text()) if p.exists() else {}
    if got.get('fingerprint') == mark: return got['found']
    print(f'{datetime.datetime.now():%H:%M} {name}'
        + (', again: machine, versions, data or minutes were others' if got else ''), flush=True)
    found = fn()
    part = p.with_suffix('.part')
    part.write_text(json.dumps(dict(fingerprint=mark, found=found), indent=1)); part.replace(p)
    return found

def prepare_worker(folder, n):
    "A survey of `n` unlabelled tiles and a run of a narrow net, for `count_worker`"
    data = bench.make_survey(Path(folder)/'data', 40, copies=int(n))
    bench.make_run(data, Path(folder)/'run', 'slim8')

def count_worker(folder):
    "Seconds and peak MiB of predicting the tiles of `prepare_worker`; this process has trained nothing"
    from salt_identification.submission import predict_submission
    folder = Path(folder)
    t = time.perf_counter()
    predict_submission(folder/'run', folder/'data', folder/'out.csv', device='cpu')
    return dict(seconds=time.perf_counter() - t, mib=machine.peak_mib())

def count(n):
    "What `count_worker` finds for `n` tiles"
    with tempfile.TemporaryDirectory() as d:
        bench.worker('prepare', d, n, timeout=HOURS)
        return bench.worker('count', d, timeout=HOURS)

def side_worker(side, bs):
    "Seconds a tile of training and predicting the default net on tiles of a side, in batches of `bs`"
    import torch
    from salt_identification.losses import make_loss
    from salt_identification.training import autocast, fastest_precision
    from salt_identification.unet import Unet
    side, bs = int(side), int(bs)
    torch.manual_seed(0)
    net = Unet('slim32').to(memory_format=torch.channels_last)
    x, y = torch.randn(bs, 1, side,
        side).to(memory_format=torch.channels_last), (torch.rand(bs, side, side) > .6).long()
    precision, cpu, loss = fastest_precision(net, torch.device('cpu'), (side, side), 1,
        min(8, bs)), torch.device('cpu'), make_loss('bce')
    opt = torch.optim.AdamW(net.parameters(), 1e-4, fused=True)
    def train():
        with autocast(precision, cpu): logits = net(x)
        loss(logits.float(), y).backward(); opt.step(); opt.zero_grad()
    def infer():
        with torch.inference_mode(), autocast(precision, cpu): net(x)
    n = max(2, min(10, 4_000_000//(bs*side*side)))
    net.train(); a = statistics.median(bench._best(train, n))/bs
    net.eval(); b = statistics.median(bench._best(infer, n))/bs
    return dict(train=a, infer=b, precision=precision, mib=machine.peak_mib())

def score_worker(who, data, seed, minutes):
    """Held-out score after so many minutes: flip TTA, and a cut chosen on other tiles than it is scored on.

    Ours is the default route, but that it predicts with the weights of its end, as the peer does: the best epoch would be chosen
    on the tiles that judge. The peer validates nothing on the way, so it trains a little longer.
    """
    from salt_identification.data import make_folds
    from salt_identification.neighbours import survey_groups
    from salt_identification.learner import train_run
    from salt_identification.metrics import cross_cut
    from salt_identification.tiles import Survey
    from salt_identification.tta import predict_tiles
    survey, seed, minutes = Survey(data), int(seed), float(minutes)
    groups = survey_groups(survey)
    import peers # before the clock begins
    start = time.monotonic()
    if who == 'ours':
        with tempfile.TemporaryDirectory() as d:
            learn = train_run(survey, Path(d)/'run', minutes, seed=seed, fold=0, keep='last', quiet=True, device='cpu')
            spent, tiles, precision = time.monotonic() - start, learn.dls.valid_tiles, learn.precision
            probs, more = predict_tiles(learn, tiles, 'flip').mean[:,0].numpy(), {}
    else:
        valid = make_folds(survey.train, 5, seed, groups) == 0
        train, tiles = survey.train[~valid], survey.train[valid]
        loop = peers.HandLoop(train.images, (train.masks > 0), seed=seed, **PEER)
        loop.train_seconds(minutes*60*.985, start)
        spent, precision = time.monotonic() - start, loop.precision
        probs, more = loop.probs(tiles.images, flip=True), dict(steps=loop.done,
            loss='BCE, from half of the time on smp LovaszLoss tile by tile', **PEER)
    place = {i: k for k, i in enumerate(survey.train.ids)}
    group = groups[[place[i] for i in tiles.ids]]
    c = cross_cut(probs, tiles.masks, group)
    return bench.how(precision, score=c.score, ids=list(tiles.ids), groups=group.tolist(),
        scores=c.precision.tolist(), spent=spent, **more)

def compare(pairs, seeds):
    "Mean difference of ours from the peer and its 95 % interval, paired by tile, tiles that touch together; it holds the chance of the tiles, not that of the training"
    import numpy as np
    from salt_identification.metrics import paired_difference
    ours, peer = ([pairs[w, s] for s in seeds] for w in ('ours', 'smp_best'))
    assert all(a['ids'] == b['ids'] for a, b in zip(ours, peer)), 'ours and the peer were scored on other tiles'
    every = lambda found, key: np.concatenate([f[key] for f in found])
    return paired_difference(every(ours, 'scores'), every(peer, 'scores'), every(ours, 'groups'))

bench.WORKERS |= dict(prepare=prepare_worker, count=count_worker, side=side_worker, score=score_worker)

def draw(counts, sides, batches, path):
    "The curves: time above, memory below"
    import matplotlib; matplotlib.use('Agg')
    import matplotlib.pyplot as plt
    fig, (times, memory) = plt.subplots(2, 3, figsize=(11,5.5), dpi=80, layout='constrained')
    pixels = [s*s for s in sides]
    times[0].plot(list(counts), [c['seconds'] for c in counts.values()], marker='o'); times[0].set_ylabel('seconds')
    for what in ('train', 'infer'):
        times[1].loglog(pixels, [s[what] for s in sides.values()], marker='o', label=what)
        times[2].plot(list(batches), [1000*b[what] for b in batches.values()], marker='o', label=what)
    times[1].set_ylabel('seconds a tile'); times[2].set_ylabel('ms a tile'); times[1].legend(); times[2].legend()
    for ax, x, found in zip(memory, (list(counts), pixels, list(batches)), (counts, sides, batches)):
        ax.plot(x, [f['mib'] for f in found.values()], marker='o', color='.4'); ax.set_ylabel('peak MiB')
    memory[1].set_xscale('log')
    for ax, label in zip(memory, ('tiles predicted', 'pixels of a tile', 'tiles in a batch')): ax.set_xlabel(label)
    for ax in (times[0], times[2], *memory): ax.set_ylim(0)
    path.parent.mkdir(parents=True, exist_ok=True); fig.savefig(path); plt.close(fig)

def score_lines(folder, data, minutes, seeds, out):
    "Lines about the score at equal minutes; writes `out`"
    more = dict(data=str(Path(data).resolve()), minutes=minutes, peer=PEER)
    pairs = {(w, s): once(folder, f'score_{w}_{s}', lambda w=w,
        s=s: bench.worker('score', w, data, s, minutes, timeout=HOURS), **more) for s in seeds
        for w in ('ours', 'smp_best')}
    difference, low, high = compare(pairs, seeds)
    found = dict(difference=difference, interval=[low, high],
        scores={w: [pairs[w, s]['score'] for s in seeds] for w in ('ours', 'smp_best')},
        spent={w: [pairs[w, s]['spent'] for s in seeds] for w in ('ours', 'smp_best')}, seeds=list(seeds),
        date=f'{datetime.date.today()}', **fingerprint(minutes=minutes, peer=PEER))
    out.write_text(json.dumps(found, indent=1))
    scores = '; '.join(f'{w} ' + ', '.join(f'{v:.3f}' for v in v) for w, v in found['scores'].items())
    return [f'Score after {minutes:g} minutes, seeds {list(seeds)}: {scores}; difference {difference:+.3f} '
        f'({low:+.3f} to {high:+.3f}, 95 %, paired by tile; the chance of the tiles, not of the training). '
        f'The peer: smp.Unet(resnet34), BCE, then LovaszLoss in the second half, EMA {PEER["ema"]}, '
        f'a rate of {PEER["lr"]}, the only one tried. Both predict with the weights of their end.', '']

def run(folder, data=None, small=False):
    "Measure all, and write the section; `small` shows that it works, and writes into `folder` alone"
    folder.mkdir(parents=True, exist_ok=True)
    counts = {n: once(folder, f'count{n}', lambda n=n: count(n)) for n in ((50, 100) if small else COUNTS)}
    measure = lambda side, bs: bench.worker('side', side, bs, timeout=HOURS)
    sides = {s: once(folder, f'side{s}', lambda s=s: measure(s, max(1, min(32, 2**21//s**2))))
        for s in ((32, 64) if small else SIDES)}
    batches = {b: once(folder, f'batch{b}', lambda b=b: measure(101, b)) for b in ((2, 4) if small else BATCHES)}
    draw(counts, sides, batches, folder/'growth.png' if small else bench.HERE.parent/'docs'/'images'/'growth.png')
    row = lambda key, v: f'| {key} | {1e3*v["train"]:.2f} | {1e3*v["infer"]:.2f} |'
    lines = ['| tiles | seconds | peak MiB |', '|---|---|---|',
        *[f'| {n} | {c["seconds"]:.1f} | {c["mib"]:.0f} |' for n, c in counts.items()], '',
        '| side | train, ms a tile | infer, ms a tile | ns a pixel (train) | peak MiB |',
        '|---|---|---|---|---|',
        *[f'{row(s, v)} {1e9*v["train"]/s**2:.0f} | {v["mib"]:.0f} |' for s, v in sides.items()], '',
        '| batch | train, ms a tile | infer, ms a tile | peak MiB |', '|---|---|---|---|',
        *[f'{row(b, v)} {v["mib"]:.0f} |' for b, v in batches.items()], '']
    if data: lines += score_lines(folder, data, .2 if small else MINUTES, SEEDS[:1] if small else SEEDS,
        (folder if small else bench.HERE)/'score_kept.json')
    text = '\n'.join([f'## Growth ({datetime.date.today()})', '', f'`make bench-full`, on the CPU. Machine: '
        f'{machine.name()}, {machine.cores()} cores. Curves: `docs/images/growth.png`.', '', *lines])
    (folder/'growth.md').write_text(text)
    if not small: bench.write_section(text)
    print(text)
