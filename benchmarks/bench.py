"""How fast is this library, against what people would use instead, and against the machine itself?

    python benchmarks/bench.py                  every key, at most 20 minutes on 2 cores (`make bench`)
    python benchmarks/bench.py --only rle,metric     some parts; --small: tiny sizes, to see that it works; both write to --out, or a new file that they name
    python benchmarks/bench.py --full DIR [--data DATA]   curves and the score at equal minutes: hours, goes on where it was stopped

Contenders take turns in one run (A B A B ...), a fresh process each; figures are medians, with the smallest and the largest
beside them. At its end a whole run replaces `benchmarks/latest.json`; `--write` puts a section into `benchmarks/RESULTS.md` as
well. A part that fails leaves its keys null, with the reason, and the others go on. A key that ends in `_vs_...` is the other's
time over ours, so more is better. Only ratios of one run count: machines differ. All of it runs on the CPU, also where there is a GPU.
"""
import argparse, datetime, json, os, re, shutil, statistics, subprocess, sys, tempfile, time
from pathlib import Path

import machine

HERE = Path(__file__).resolve().parent
AIMS = dict(train_vs_fastai=12, train_vs_smp_learner=2.5, train_vs_smp_best=1.2, predict_vs_smp_ttach=3.5,
    infer_roofline_share=.75,
    train_roofline_share=.6, overhead_share=.05, metric_vs_loop=100, rle_vs_pycocotools=1, memory_growth=1.1,
    import_s=.3, help_s=.2,
    first_step_s=10, score_kept=0)
KEYS = dict(start=('import_s', 'help_s'), rle=('rle_vs_pycocotools',), metric=('metric_vs_loop',),
    roofline=('infer_roofline_share', 'train_roofline_share'),
    overhead=('overhead_share',), first=('first_step_s',), memory=('memory_growth',), predict=('predict_vs_smp_ttach',),
    train=('train_vs_fastai', 'train_vs_smp_learner', 'train_vs_smp_best'), score=('score_kept',))
IF_KEPT = *KEYS['train'], *KEYS['predict'] # our net is smaller than the peers': fair only where `score_kept` holds
LESS = 'overhead_share', 'memory_growth', 'import_s', 'help_s', 'first_step_s'
SIZES = dict(train=400, predict=3205, rle=18_000, metric=4000, memory=(1800, 18_000), first=4000, starts=7,
    roofline=20, matmul=2048)
SMALL = dict(train=48, predict=24, rle=300, metric=200, memory=(64, 256), first=60, starts=1, roofline=1, matmul=256)

# --- a fresh process ---------------------------------------------------------------------------------------------------

def worker(what, *args, timeout=1800):
    "What `WORKERS[what]` gives, in a process of its own that sees no GPU; its last line is JSON"
    cmd = [sys.executable, '-W', 'ignore', str(HERE/'bench.py'), '--worker', json.dumps([what, *map(str, args)])]
    try: done = subprocess.run(cmd, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=timeout,
        env=os.environ | dict(CUDA_VISIBLE_DEVICES=''))
    except subprocess.TimeoutExpired: raise RuntimeError(f'{what} took more than {timeout:g} seconds') from None
    if done.returncode: raise RuntimeError(f'{what} failed:\n{done.stderr[-3000:]}')
    return json.loads(done.stdout.strip().splitlines()[-1])

def how(precision, **more):
    "With what a worker computed, beside what it found"
    import torch
    return dict(more, precision=precision, threads=torch.get_num_threads(), device='cpu')

def apart(out):
    "({name: seconds}, {name: everything else}) of what workers gave in `take_turns`"
    rest = lambda given: {k: v if len(v) > 1 else v[0] for k in given[0] if k != 'seconds'
        for v in [list(dict.fromkeys(map(str, (g[k] for g in given))))]}
    return {n: [g['seconds'] for g in v] for n, v in out.items()}, {n: rest(v) for n, v in out.items()}

def take_turns(contenders, rounds, log=print):
    "{name: [what each call gave]}: one call of each of `contenders` (name -> function) in turn, `rounds` times; a number of rounds for each by its name in a dict"
    out = {n: [] for n in contenders}
    most = rounds if isinstance(rounds, int) else max(rounds.values())
    for k in range(most):
        for name, fn in contenders.items():
            if k >= (rounds if isinstance(rounds, int) else rounds[name]): continue
            out[name].append(fn())
            said = out[name][-1]['seconds'] if isinstance(out[name][-1], dict) else out[name][-1]
            log(f'    {name}: {said:.4g}' if isinstance(said, float) else f'    {name}', flush=True)
    return out

def spread(values): return dict(median=statistics.median(values), smallest=min(values), largest=max(values),
    n=len(values))

def ratio(times, other, ours):
    "(the other's median over ours, both spreads)"
    a, b = spread(times[other]), spread(times[ours])
    return a['median']/b['median'], {other: a, ours: b}

# --- files to work on --------------------------------------------------------------------------------------------------

def make_survey(path, n, valid=False, copies=0):
    "A synthetic survey of `n` labelled tiles; `copies` of its unlabelled tiles, so many in all; class masks, and with `valid` a list of our validation tiles, for the peers"
    import numpy as np
    from PIL import Image
    from salt_identification.synth import synth_survey
    survey = synth_survey(path, n, n_test=min(copies, 200) or 1, seed=0)
    (path/'classes').mkdir()
    for id, mask in zip(survey.ids, survey.train.masks):
        Image.fromarray((mask > 0).astype(np.uint8)).save(path/'classes'/f'{id}.png')
    images = sorted((path/'test'/'images').glob('*.png'))
    for k in range(len(images), copies): shutil.copy(images[k % len(images)], images[0].with_name(f'copy{k:06d}.png'))
    for f in ('sample_submission.csv', 'depths.csv', 'truth.csv'): (path/f).unlink(missing_ok=True)
    if valid: (path/'valid.txt').write_text('\n'.join(our_loaders(path).valid_tiles.ids))
    return path

def our_loaders(path):
    "Our loaders of the training parts: a fifth is held out"
    from salt_identification.data import salt_dataloaders
    from salt_identification.tiles import Survey
    return salt_dataloaders(Survey(path), 0, 5, device='cpu')

def widen(path, n):
    "Copies of labelled tiles, each moved a little in brightness, until there are `n`"
    import numpy as np
    from PIL import Image
    images, masks = path/'train'/'images', path/'train'/'masks'
    ids, rng = sorted(p.stem for p in images.glob('*.png')), np.random.default_rng(0)
    for k in range(len(ids), n):
        x = np.array(Image.open(images/f'{ids[k % len(ids)]}.png')).astype(int) + rng.integers(-9, 10, 1)
        Image.fromarray(x.clip(0, 255).astype(np.uint8)).save(images/f'copy{k:05d}.png')
        shutil.copy(masks/f'{ids[k % len(ids)]}.png', masks/f'copy{k:05d}.png')
    for f in ('train.csv', 'depths.csv'): (path/f).unlink(missing_ok=True)

# --- training ------------------------------------------------------------------------------------------------------------

def ours_epoch(path, epochs=4):
    "(seconds of each epoch, precision) of `salt_learner` with its default net, loss and transforms; the first half of the epochs by BCE, the second by Lovasz"
    import peers
    from fastai.callback.core import Callback
    from salt_identification.learner import salt_learner
    class Epochs(Callback):
        order = 98
        def before_fit(self): self.seconds = []
        def before_epoch(self): self.start = time.perf_counter()
        def after_epoch(self): self.seconds.append(time.perf_counter() - self.start)
    dls = our_loaders(path)
    assert set(dls.valid_tiles.ids) == set(peers.read_valid(path)), 'other validation tiles than those of the peers'
    watch, learn = Epochs(), salt_learner(dls)
    with learn.no_bar(), learn.no_logging(): learn.fit_one_cycle(epochs, 2e-3, cbs=watch)
    return watch.seconds, learn.precision

def train_worker(name, path, workers=0):
    "Seconds of an epoch; of ours the mean of one with BCE and one with Lovasz"
    import peers
    workers = None if workers == 'default' else int(workers)
    if name == 'ours':
        seconds, precision = ours_epoch(path)
        return how(precision, seconds=(seconds[1] + seconds[3])/2, bce=seconds[1], lovasz=seconds[3])
    if name == 'smp_best':
        seconds, precision = peers.smp_best(path)
        return how(precision, seconds=seconds[-1])
    return how('float32', seconds=dict(fastai=peers.fastai_unet, smp_learner=peers.smp_learner)[name](path,
        1, workers)[-1], workers='default' if workers is None else workers)

def _train_data(size, tmp):
    "The survey of the training parts, made once"
    return tmp/'train' if (tmp/'train').exists() else make_survey(tmp/'train', size['train'], valid=True)

def part_train(size, tmp, log):
    "Whole epochs of 320 training and 80 validation tiles, the same for all"
    data = _train_data(size, tmp)
    turn = lambda n, workers=0: lambda: worker('train', n, data, workers)
    kinds = (0, 'default')
    found = take_turns(dict(ours=turn('ours'),
        smp_best=turn('smp_best')) | {f'smp_learner_{k}': turn('smp_learner', k) for k in kinds},
        dict(ours=3, smp_best=3, smp_learner_0=2, smp_learner_default=2), log)
    times, more = apart(found)
    best = min(kinds, key=lambda k: statistics.median(times[f'smp_learner_{k}']))
    once, last = apart(take_turns(dict(fastai=turn('fastai', best)), 1, log))
    tried = {f'smp_learner_{k}': spread(times.pop(f'smp_learner_{k}')) for k in kinds}
    times['smp_learner'] = [g['seconds'] for g in found[f'smp_learner_{best}']]
    more['smp_learner'] = more.pop(f'smp_learner_{best}')
    times, more = times | once, {n: more.get(n, last.get(n)) for n in ('ours', 'smp_best', 'smp_learner', 'fastai')}
    halves = {k: spread([g[k] for g in found['ours']]) for k in ('bce', 'lovasz')}
    for k in halves: more['ours'].pop(k)
    return {f'train_vs_{n}': ratio(times, n, 'ours')[0] for n in more
        if n != 'ours'}, dict(seconds={n: spread(v) for n, v in times.items()}, ours_by_loss=halves,
        loaders_tried=tried, how=more, note='of four epochs of ours the mean of the second (BCE) and the '
        'fourth (Lovasz); of smp_best the second of two, by BCE alone and without averaged weights; '
        "the others read every file again in each epoch, so their first; "
        "fastai's loader with no worker and with its default number of them, the faster counts, "
        "fastai with that one alone")

# --- predicting ------------------------------------------------------------------------------------------------------------

def make_run(path, out, net='slim32'):
    "A run of two steps; its speed is that of any other"
    from salt_identification.learner import train_run
    from salt_identification.tiles import Survey
    train_run(Survey(path), out, steps=2, net=net, quiet=True, device='cpu')

def predict_worker(name, path, run, out):
    "Seconds from a folder of tiles to a submission; imports are not counted"
    if name == 'ours':
        from salt_identification.submission import predict_submission
        t = time.perf_counter()
        predict_submission(run, path, out, overwrite=True, device='cpu')
        return how(json.loads((Path(run)/'config.json').read_text())['precision'], seconds=time.perf_counter() - t)
    import peers
    return how('float32', seconds=peers.smp_ttach(path, out, 1 if name == 'smp_ttach_worker' else 0))

def part_predict(size, tmp, log):
    "A folder of tiles, flip TTA, a submission"
    data, few = (make_survey(tmp/n, 40, copies=k)
        for n, k in (('predict', size['predict']), ('few', min(200, size['predict']))))
    make_run(data, tmp/'run')
    turn = lambda n, data: lambda: worker('predict', n, data, tmp/'run', tmp/f'{n}.csv')
    peers = ('smp_ttach', 'smp_ttach_worker')
    tried, _ = apart(take_turns({n: turn(n, few) for n in peers}, 2, log))
    best = min(peers, key=lambda n: min(tried[n]))
    times, more = apart(take_turns({n: turn(n, data) for n in ('ours', best)}, {'ours': 3, best: 1}, log))
    return dict(predict_vs_smp_ttach=ratio(times, best, 'ours')[0]), dict(seconds={n: spread(v)
        for n, v in times.items()}, tried_on_200={n: spread(v) for n, v in tried.items()},
        peer=best, how=more,
        note='the peer with and without a worker for its files: both tried on few tiles, the faster on all')

# --- the machine's own bound ---------------------------------------------------------------------------------------------------

def _best(fn, n):
    fn(); times = []
    for _ in range(n): t = time.perf_counter(); fn(); times.append(time.perf_counter() - t)
    return times

def backward_share(m):
    "How much longer a layer's backward has to take than its forward: twice, but for layers that have no weights and read less"
    kind = type(m).__module__.rpartition('.')[2]
    return dict(activation=1.5, pooling=1, pixelshuffle=1, upsampling=1).get(kind, 2) # an activation's backward reads two arrays and writes one, its forward reads one and writes one

def bounds(net, x, dtype, peak, bandwidth):
    "(seconds forward, seconds forward and backward, FLOP) that no run of `net` on `x` can beat: layer by layer the larger of FLOP/peak and bytes/bandwidth"
    import torch
    from torch import nn
    rows, b = [], torch.tensor([], dtype=dtype).element_size()
    still = nn.Identity, nn.modules.dropout._DropoutNd # they move nothing
    def note(m, args, out):
        weights = sum(p.numel() for p in m.parameters(recurse=False))
        moved = (args[0].numel() + out.numel() + weights)*b
        flop = 0
        if isinstance(m, nn.ConvTranspose2d): flop = 2*args[0].numel()*m.weight[0].numel()
        elif isinstance(m, nn.Conv2d): flop = 2*out.numel()*m.weight[0].numel()
        rows.append((flop, moved, m))
    hooks = [m.register_forward_hook(note) for m in net.modules() if not list(m.children())
        and not isinstance(m, still)]
    with torch.inference_mode(): net.eval()(x)
    for h in hooks: h.remove()
    forward = [max(f/peak, m/bandwidth) for f, m, _ in rows]
    first = next((i for i, r in enumerate(rows) if r[0]), -1) # its input wants no gradient
    return sum(forward), sum(t*(1 + (1 if i == first else backward_share(rows[i][2])))
        for i, t in enumerate(forward)), sum(r[0] for r in rows)

def roofline_worker(steps, side):
    "Shares of the bound that the article's net reaches, in float32 and bf16; the faster counts"
    import torch
    from salt_identification.losses import make_loss
    from salt_identification.training import autocast, bf16_slow, keep_memory
    from salt_identification.unet import Unet34
    steps, side = int(steps), int(side)
    keep_memory() # as whoever trains or predicts by the library has it
    torch.manual_seed(0)
    net = Unet34(n_in=1).to(memory_format=torch.channels_last)
    x = torch.randn(32, 1, 128, 128).to(memory_format=torch.channels_last)
    y, loss, out = (torch.rand(32, 128, 128) > .6).long(), make_loss('bce'), how('as said')
    opt = torch.optim.AdamW(net.parameters(), 1e-4, fused=True)
    big = torch.randn(2**26); copy = torch.empty_like(big)
    bandwidth = 2*big.numel()*4/min(_best(lambda: copy.copy_(big), 9))
    for name, dtype in (('float32', torch.float32), ('bf16', torch.bfloat16)):
        if name == 'bf16' and bf16_slow():
            out['left_out'] = 'bf16: one convolution takes more than 1.5 times as long as in float32'; continue
        a = torch.randn(side, side).to(dtype)
        peak = 2*side**3/min(_best(lambda: a@a, 9))
        def infer():
            with torch.inference_mode(), autocast(name, torch.device('cpu')): net(x)
        def train():
            with autocast(name, torch.device('cpu')): logits = net(x)
            loss(logits.float(), y).backward(); opt.step(); opt.zero_grad()
        low, low_train, flop = bounds(net, x, dtype, peak, bandwidth)
        net.eval(); i = _best(infer, steps)
        net.train(); t = _best(train, max(1, steps//2))
        out[name] = dict(peak_gflops=peak/1e9, bandwidth_gb_s=bandwidth/1e9, gflop=flop/32e9,
            infer_s=spread(i), train_s=spread(t), infer_bound_s=low, train_bound_s=low_train,
            infer_share=low/statistics.median(i), train_share=low_train/statistics.median(t))
    return out

def part_roofline(size, tmp, log):
    "The article's Unet34, batch 32, 128 pixels"
    got = worker('roofline', size['roofline'], size['matmul'])
    tried = [p for p in ('float32', 'bf16') if p in got]
    faster = lambda what: min(tried, key=lambda p: got[p][f'{what}_s']['median'])
    keys = {f'{w}_roofline_share': got[faster(w)][f'{w}_share'] for w in ('infer', 'train')}
    return keys, dict(got, faster={w: faster(w) for w in ('infer', 'train')},
        note='optimiser, loss, joins of skips are in the time, not in the bound')

# --- what is neither forward, backward nor optimiser ---------------------------------------------------------------------------

def overhead_worker(path):
    "Share of the training part of an epoch that is neither forward, backward nor optimiser"
    from fastai.callback.core import Callback
    from salt_identification.learner import salt_learner
    spent = dict(forward=0., backward=0., optimiser=0., all=0.)
    def timed(fn, what):
        def go(*a, **k):
            t = time.perf_counter()
            try: return fn(*a, **k)
            finally: spent[what] += time.perf_counter() - t
        return go
    class Watch(Callback):
        order = 99
        def before_train(self): self.start = time.perf_counter()
        def after_train(self): spent['all'] += time.perf_counter() - self.start
        def before_validate(self): from fastai.callback.core import CancelValidException; raise CancelValidException()
    learn = salt_learner(our_loaders(path))
    with learn.no_bar(), learn.no_logging():
        learn.fit(1, 1e-3, cbs=Watch())
        for k in spent: spent[k] = 0.
        learn.model.forward, learn.loss_func.forward = timed(learn.model.forward,
            'forward'), timed(learn.loss_func.forward, 'forward')
        learn._backward, learn._step = timed(learn._backward, 'backward'), timed(learn._step, 'optimiser')
        learn.fit(2, 1e-3, cbs=Watch())
    return spent | how(learn.precision,
        share=1 - (spent['forward'] + spent['backward'] + spent['optimiser'])/spent['all'])

def part_overhead(size, tmp, log):
    "The default route, 320 training tiles"
    data = _train_data(size, tmp)
    got = worker('overhead', data)
    return dict(overhead_share=got['share']), got

# --- metric and run lengths --------------------------------------------------------------------------------------------------

def _masks(n):
    "Masks of synthetic tiles, shifted copies of some hundred"
    import numpy as np
    from salt_identification.synth import synth_survey
    with tempfile.TemporaryDirectory() as d:
        masks = synth_survey(Path(d)/'s', min(n, 400), n_test=1, seed=0).train.masks
    masks = (masks > 0).astype(np.uint8)
    return np.concatenate([np.roll(masks, 7*k, 2) for k in range(-(-n//len(masks)))])[:n]

def _timed(fn):
    t = time.perf_counter(); out = fn()
    return time.perf_counter() - t, out

def part_metric(size, tmp, log):
    "Mean precision of tiles against the loop of most kernels"
    import numpy as np
    import peers, torch
    from salt_identification.metrics import mean_precision
    from salt_identification.training import keep_memory
    keep_memory() # for all three, as in a training
    truth = _masks(size['metric']); preds = np.roll(truth, 3, 1)
    a, b = torch.as_tensor(preds), torch.as_tensor(truth)
    fns = dict(ours=lambda: mean_precision(a, b), usual_loop=lambda: peers.usual_precision(preds, truth),
        lean_loop=lambda: peers.lean_precision(preds, truth))
    said = [float(f()) for f in fns.values()]
    assert max(said) - min(said) < 2e-3, said   # floats against fractions: an IoU of exactly a threshold
    times = take_turns({n: lambda f=f: _timed(f)[0] for n, f in fns.items()}, 3, log)
    return dict(metric_vs_loop=ratio(times, 'usual_loop', 'ours')[0]), dict(seconds={n: spread(v)
        for n, v in times.items()}, tiles=len(truth),
        note='usual_loop: np.histogram2d, as in most kernels; lean_loop: logical operations, tile by tile')

def part_rle(size, tmp, log):
    "Encode and decode masks: strings for the challenge against COCO's own format, by its faster way"
    import numpy as np
    from pycocotools import mask as coco
    from salt_identification.rle import rle_decode_batch, rle_encode_batch
    masks = _masks(size['rle']); shape = masks.shape[1:]
    ours = lambda: rle_decode_batch(rle_encode_batch(masks), shape)
    one_by_one = lambda: [coco.decode(r) for r in [coco.encode(np.asfortranarray(m)) for m in masks]]
    at_once = lambda: coco.decode(coco.encode(np.asfortranarray(masks.transpose(1,2,0))))
    assert (ours() == masks).all()
    times = take_turns({n: lambda f=f: _timed(f)[0]
        for n, f in dict(ours=ours, coco_one_by_one=one_by_one, coco_at_once=at_once).items()}, 5, log)
    best = min(('coco_one_by_one', 'coco_at_once'), key=lambda n: statistics.median(times[n]))
    return dict(rle_vs_pycocotools=ratio(times, best,
        'ours')[0]), dict(seconds={n: spread(v) for n, v in times.items()}, peer=best, masks=len(masks))

# --- memory, start, first step ---------------------------------------------------------------------------------------------------

def memory_worker(path, run, out):
    "Peak memory of predicting a folder, MiB; this process has trained nothing"
    from salt_identification.submission import predict_submission
    predict_submission(run, path, out, overwrite=True, device='cpu')
    return machine.peak_mib()

def part_memory(size, tmp, log):
    "Peak memory of predicting ten times as many tiles, flips and all, with a narrow net"
    few, many = size['memory']
    peak = {}
    for n in (few, many):
        data = make_survey(tmp/f'memory{n}', 40, copies=n)
        if not (tmp/'narrow').exists(): make_run(data, tmp/'narrow', 'slim8')
        peak[n] = worker('memory', data, tmp/'narrow', tmp/'memory.csv')
        log(f'    {n} tiles: {peak[n]:.0f} MiB', flush=True)
        shutil.rmtree(data)
    return dict(memory_growth=peak[many]/peak[few]), dict(mib=peak)

def _seconds(*cmd):
    t = time.perf_counter()
    subprocess.run(cmd, check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, timeout=300)
    return time.perf_counter() - t

def part_start(size, tmp, log):
    "`import salt_identification` and `saltid --help`, over a bare interpreter"
    py = sys.executable
    turns = dict(bare=lambda: _seconds(py, '-c', ''), imported=lambda: _seconds(py, '-c', 'import salt_identification'),
        help=lambda: _seconds(py, '-m', 'salt_identification', '--help'))
    times = take_turns(turns, size['starts'], lambda *a, **k: None)
    over = lambda n: max(0., statistics.median(times[n]) - statistics.median(times['bare']))
    return dict(import_s=over('imported'), help_s=over('help')), {n: spread(v) for n, v in times.items()}

def first_worker(path, out, cache, start):
    """Seconds from `start` to the end of the first optimiser step of `saltid train --weights none`.

    From random weights, so what it leaves out is the search for ImageNet weights (a try of the network for some seconds, then
    fetching or reading the file) and the net that goes with them, whose trials of precision and speed have their own length.
    """
    os.environ['SALTID_CACHE'] = cache
    from salt_identification import cli, training
    def after_step(self):
        if self.learn.training: print(json.dumps(time.time() - float(start)), flush=True); os._exit(0)
    training.PlanClock.after_step = after_step
    cli.main(['train', path, '--minutes', '10', '--out', out, '--quiet', '--weights', 'none', '--device',
        'cpu', '--overwrite'])

def part_first(size, tmp, log):
    "`saltid train` to its first step; new: tiles that touch are looked for, as on the first day; else they are known"
    data = make_survey(tmp/'first', min(size['first'], 400)); widen(data, size['first'])
    turns = dict(new=lambda: worker('first', data, tmp/'first_run', tempfile.mkdtemp(dir=tmp), time.time()),
        known=lambda: worker('first', data, tmp/'first_run', tmp/'cache', time.time()))
    worker('first', data, tmp/'first_run', tmp/'cache', time.time())
    times = take_turns(turns, 3 if size is SIZES else 1, log)
    return dict(first_step_s=statistics.median(times['new'])), {n: spread(v)
        for n, v in times.items()} | dict(tiles=size['first'], note='from random weights (--weights none)')

def part_score(size, tmp, log):
    "From `--full`: held-out score at equal minutes"
    found = HERE/'score_kept.json'
    if not found.exists(): return dict(score_kept=None), dict(note='not measured; see --full')
    got = json.loads(found.read_text())
    return dict(score_kept=got['difference']), got

WORKERS = dict(train=train_worker, predict=predict_worker, roofline=roofline_worker, overhead=overhead_worker,
    memory=memory_worker, first=first_worker)
PARTS = dict(start=part_start, rle=part_rle, metric=part_metric, roofline=part_roofline,
    overhead=part_overhead, first=part_first,
    memory=part_memory, predict=part_predict, train=part_train, score=part_score)

# --- what comes of it ---------------------------------------------------------------------------------------------------------

def aims(amx=False):
    "The aims of this kind of machine"
    return AIMS | (dict(infer_roofline_share=.5, train_roofline_share=.4) if amx else {})

def met(key, value, amx=False):
    "Is the aim reached? None where there is none, or nothing was measured"
    goal = aims(amx).get(key)
    if value is None or goal is None: return None
    return value <= goal if key in LESS else value >= goal

def verdict(key, got):
    "What RESULTS.md says of a key beside its aim"
    reached, kept = met(key, got.get(key), got['amx']), got.get('score_kept')
    if reached is None: return ''
    if not reached: return '**missed**'
    return 'met' if key not in IF_KEPT or kept is not None and kept >= 0 else 'met, if the score is kept'

def singles(details):
    "Which times of `details` rest on one call"
    return [f'{name} of {part}' for part in PARTS for name, v in (details.get(part, {}).get('seconds') or {}).items()
        if v['n'] == 1]

def section(got):
    "Lines for RESULTS.md"
    d, m = got['details'], got['details']['machine']
    why = {k: 'failed' if 'failed' in d.get(part, {}) else 'not measured' for part, keys in KEYS.items() for k in keys}
    rows = [f'| `{k}` | {why[k] if got[k] is None else f"{got[k]:.3g}"} | {"<=" if k in LESS else ">="} '
        f'{aim} | {verdict(k, got)} |' for k, aim in aims(got['amx']).items() if k in got]
    once, failed = singles(d), [f'- `{part}` failed: {d[part]["failed"].splitlines()[-1]}' for part in PARTS
        if 'failed' in d.get(part, {})]
    notes = ['Our net is a smaller one than those of the peers, so their times over ours are fair only '
        'where `score_kept` is 0 or more. It is slim32 with random weights; where timm and a network are found, `saltid train` takes '
        'tf_efficientnet_lite0, whose step takes some 2.2 times as long. Batches are of 32 tiles, those of fastai and of the plain '
        'learner of 16 (fastai\'s page has 8). Memory is kept (`keep_memory`) in our processes, not in the peers\'.', *([f'One call only (n=1): {", ".join(once)}.'] if once else [])]
    return '\n'.join([f'## Speed ({d["date"]}, {m["cpu"]})', '',
        f'`{d["command"]}`, {d["minutes"]:.0f} minutes, on the CPU. Machine: {m["cpu"]}, {m["cores"]} cores, '
        f'{m["memory_gib"]} GiB; '
        + ', '.join(f'{k} {v}' for k, v in d['versions'].items()) + '; seed 0. Seconds and spreads: `latest.json`. ' + ' '.join(notes), '', '| key | measured | aim | |', '|---|---|---|---|', *rows, '', *failed, *['']*bool(failed)])

def write_section(text, path=HERE/'RESULTS.md'):
    "Put a section before the others on speed in RESULTS.md; of one of the same title what stands below its table is kept"
    head, *rest = path.read_text(encoding='utf-8').split('\n## ')
    title, new = text.splitlines()[0][3:], text[3:].rstrip() + '\n'
    old = [r for r in rest if r.splitlines()[0] == title]
    rest = [r for r in rest if r not in old]
    below = old[0].rpartition('\n|')[2].partition('\n')[2].strip() if old and '\n|' in old[0] else ''
    said = '\n'.join(l for l in below.splitlines() if not re.match(r'- `\w+` failed: ', l)).strip() # of the run before
    at = next((i for i, r in enumerate(rest) if r.startswith('Speed (')), 0)
    rest.insert(at, new + f'\n{said}\n'*bool(said))
    part = path.with_name(path.name + '.part')
    part.write_text('\n## '.join([head, *rest]), encoding='utf-8'); part.replace(path)

def save(got, details, out):
    "Write `latest.json`, or another of its kind, whole or not at all"
    part = Path(out).with_name(Path(out).name + '.part')
    part.write_text(json.dumps(got | dict(details=details), indent=1)); part.replace(out)

def run(parts, size, out, log=print):
    "Measure `parts`, and write `out` after each; one that fails leaves its keys null, with the reason"
    start, got, details = time.time(), dict(amx='amx_bf16' in machine.flags()), {}
    details |= dict(date=f'{datetime.date.today()}', machine=machine.machine(), versions=machine.versions(),
        device='cpu', seed=0,
        command=f'python benchmarks/bench.py {" ".join(sys.argv[1:])}'.strip(), small=size is SMALL)
    with tempfile.TemporaryDirectory() as d:
        for name in parts:
            log(f'{(time.time()-start)/60:5.1f} min  {name}: {PARTS[name].__doc__}', flush=True)
            try: keys, more = PARTS[name](size, Path(d), log)
            except Exception as e:
                keys, more = dict.fromkeys(KEYS[name]), dict(failed=f'{type(e).__name__}: {e}')
                log(f'      {more["failed"]}', flush=True)
            got |= keys; details[name] = more
            log('      ' + '  '.join(f'{k} {v if v is None else format(v, ".3g")}' for k, v in keys.items()),
                flush=True)
            details['minutes'] = (time.time() - start)/60
            save(got, details, out)
    return got | dict(details=details)

def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('--only', help='parts, with commas between: ' + ', '.join(PARTS))
    p.add_argument('--small', action='store_true', help='tiny sizes, to see that it works')
    p.add_argument('--out', type=Path, help='where to write; latest.json at the end of a whole run, '
        'or else a new file, unless told'); p.add_argument('--write', action='store_true', help='a section into RESULTS.md, of a whole run')
    p.add_argument('--full', help='folder for what takes hours')
    p.add_argument('--data', help='a survey, for the score at equal minutes')
    p.add_argument('--worker', help=argparse.SUPPRESS)
    o = p.parse_args()
    if o.worker:
        name, *args = json.loads(o.worker)
        if name not in WORKERS: import bench_full; WORKERS.update(bench_full.bench.WORKERS)
        print(json.dumps(WORKERS[name](*args))); return
    if o.full:
        import bench_full
        return bench_full.run(Path(o.full), o.data, o.small)
    parts, whole = o.only.split(',') if o.only else list(PARTS), not (o.only or o.small)
    odd = [n for n in parts if n not in PARTS]
    if odd: p.error(f'{odd[0]} is no part; choose {", ".join(PARTS)}')
    if o.write and not whole:
        p.error('a section of RESULTS.md is that of a whole run; leave out --write, or --only and --small')
    out = o.out or Path(tempfile.mkdtemp(prefix='saltid-bench-'))/'bench.json'
    print(f'writing to {out} as parts come in', flush=True)
    got = run(parts, SMALL if o.small else SIZES, out)
    if whole and not o.out:
        out = HERE/'latest.json'; save({k: v for k, v in got.items() if k != 'details'}, got['details'], out)
    if o.write: write_section(section(got))
    print(json.dumps({k: v for k, v in got.items() if k != 'details'}, indent=1) + f'\nwritten to {out}')
    failed = [n for n in parts if 'failed' in got['details'][n]]
    if failed: sys.exit(f'failed: {", ".join(failed)}; why is in {out}')

if __name__ == '__main__': main()
