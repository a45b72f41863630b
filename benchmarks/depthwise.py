"""What depthwise convolutions cost in bf16 on a CPU: a training step of a small encoder's U-Net, three ways, in turns.

    python benchmarks/depthwise.py [--net tf_efficientnet_lite0] [--threads 1] [--rounds 5]

`float32`; `bf16` as autocast does it, every convolution in 16 bits; and `guarded`, which is what `Unet` does: bf16, but
the gradient of depthwise convolutions in float32. Milliseconds a tile of 101 pixels, in batches of 32.
"""
import argparse, statistics

import torch
from torch import nn

import machine
from bench import spread, take_turns, _timed
from salt_identification.training import autocast
from salt_identification.unet import Unet

def unguarded(net):
    "`net` without the hooks of its depthwise convolutions"
    for m in net.modules():
        if isinstance(m, nn.Conv2d):
            m._forward_pre_hooks.clear(); m._forward_hooks.clear(); m._forward_hooks_always_called.clear()
    return net

def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('--net', default='tf_efficientnet_lite0')
    p.add_argument('--threads', type=int, default=1); p.add_argument('--rounds', type=int, default=5)
    o = p.parse_args()
    torch.set_num_threads(o.threads); torch.manual_seed(0)
    make = lambda: Unet(o.net, attention='scse', dropout=.1).train().to(memory_format=torch.channels_last)
    ways = dict(float32=(make(), 'float32'), bf16=(unguarded(make()), 'bf16'), guarded=(make(), 'bf16'))
    x = torch.randn(32, 1, 101, 101).to(memory_format=torch.channels_last)
    def step(net, precision):
        with autocast(precision, 'cpu'): out = net(x)
        out.float().square().mean().backward()
    for way in ways.values(): step(*way)
    times = take_turns({n: lambda way=way: _timed(lambda: step(*way))[0] for n, way in ways.items()}, o.rounds, print)
    print(f'{machine.name()}, {o.threads} threads, {o.net}')
    for n, v in times.items():
        print(f'{n:8} {1000*statistics.median(v)/32:6.1f} ms a tile  ({1000*min(v)/32:.1f} to {1000*max(v)/32:.1f})')

if __name__ == '__main__': main()
