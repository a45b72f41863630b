"""What are the habits of a training worth, each by itself? On the CPU, in turns.

    python benchmarks/habits.py [--net slim32] [--threads 2] [--rounds 12]

A step of training (32 tiles of 101 pixels, bf16 where the machine gains by it) as the library does it, and with one thing otherwise each: weights and
tiles not channels-last; an optimiser that is not fused, by `foreach` and one tensor at a time; the mean of the weights one tensor at a time; tiles
padded to 104, 112 and 128 pixels. Then a prediction with its mirror image: view after view, and both in one batch.
"""
import argparse, statistics

import torch
from torch import nn

import machine
from bench import take_turns, _timed
from salt_identification.augment import pad_to
from salt_identification.losses import make_loss
from salt_identification.training import autocast, fastest_precision, keep_memory
from salt_identification.unet import Unet

CPU = torch.device('cpu')

def trainer(name, precision, last=torch.channels_last, size=None, fused=True, foreach=None, each=False):
    "A function that makes a step"
    torch.manual_seed(0)
    net = Unet(name).to(memory_format=last).train()
    x, y = torch.randn(32, 1, 101, 101), (torch.rand(32, 101, 101) > .6).long()
    if size: x, y = pad_to(x, (size, size)), pad_to(y[:,None].float(), (size, size))[:,0].long()
    x, loss = x.to(memory_format=last), make_loss('bce')
    opt = torch.optim.AdamW(net.parameters(), 1e-5, **(dict(fused=True) if fused else dict(foreach=foreach)))
    live = [p.detach() for p in net.parameters()]
    mean = [p.clone() for p in live]
    def step():
        with autocast(precision, CPU): logits = net(x)
        loss(logits.float(), y).backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.)
        opt.step(); opt.zero_grad()
        if each:
            for m, p in zip(mean, live): m.lerp_(p, .01)
        else: torch._foreach_lerp_(mean, live, .01)
    return step

def compare(ways, rounds):
    "Print each way against the first"
    for way in ways.values(): way()
    times = take_turns({n: lambda way=way: _timed(way)[0] for n, way in ways.items()}, rounds, lambda *a, **k: None)
    first = statistics.median(next(iter(times.values())))
    for n, v in times.items():
        m = statistics.median(v)
        print(f'{n:42} {1000*m:7.1f} ms ({1000*min(v):.1f} to {1000*max(v):.1f}), {m/first:.3f} of the first', flush=True)

def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('--net', default='slim32')
    p.add_argument('--threads', type=int, default=2); p.add_argument('--rounds', type=int, default=12)
    o = p.parse_args()
    torch.set_num_threads(o.threads); keep_memory()
    precision = fastest_precision(Unet(o.net), CPU, (101, 101), 1)
    print(f'{machine.name()}, {o.threads} threads, {o.net}, {precision}, torch {torch.__version__}')
    t = lambda **k: trainer(o.net, precision, **k)
    compare({'a step as it is': t(), 'not channels-last': t(last=torch.contiguous_format), 'AdamW by foreach': t(fused=False, foreach=True),
        'AdamW one tensor at a time': t(fused=False, foreach=False), 'mean of the weights one tensor at a time': t(each=True),
        'padded to 104': t(size=104), 'padded to 112': t(size=112), 'padded to 128': t(size=128)}, o.rounds)
    net = Unet(o.net).to(memory_format=torch.channels_last).eval()
    x = torch.randn(64, 1, 101, 101).to(memory_format=torch.channels_last)
    both = torch.cat([x, x.flip(-1)]).to(memory_format=torch.channels_last)
    def ask(*batches):
        with torch.inference_mode(), autocast(precision, CPU): return [net(b).float().sigmoid() for b in batches]
    compare({'64 tiles, then their mirror images': lambda: ask(x, x.flip(-1)), 'both in one batch of 128': lambda: ask(both),
        'both in four batches of 32': lambda: ask(*both.split(32))}, o.rounds)

if __name__ == '__main__': main()
