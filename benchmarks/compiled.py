"""Does it pay to compile a net, or to fold its norms into the convolutions before them? On the CPU, in turns.

    python benchmarks/compiled.py [--net slim32] [--threads 2] [--rounds 12]     --net unet34: the article's

A step of training and a batch of prediction (32 tiles of 101 pixels, bf16 where the machine gains by it): as the library does it; with `torch.compile`;
and, for prediction, with every batch norm folded into the convolution before it. The first call of a compiled net is timed by itself: it is
what has to be won back.
"""
import argparse, copy, os, statistics
os.environ['TORCHINDUCTOR_FORCE_DISABLE_CACHES'] = '1' # a net that was compiled before would be ready at once

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

import machine
from bench import take_turns, _timed
from salt_identification.losses import make_loss
from salt_identification.training import autocast, fastest_precision, keep_memory
from salt_identification.unet import Unet, Unet34

CPU = torch.device('cpu')

def convs_and_norms(net):
    "[(convolution, norm that reads what it gives)], as one pass through `net` shows them"
    made, kept, found = {}, [], []
    def note(m, args, out):
        if type(m) is nn.Conv2d: made[id(out)] = m; kept.append(out) # kept, so that no other output gets its address
        elif isinstance(m, nn.BatchNorm2d) and id(args[0]) in made: found.append((made[id(args[0])], m))
    hooks = [m.register_forward_hook(note) for m in net.modules()]
    with torch.inference_mode(): net(torch.zeros(1, 1, 64, 64))
    for h in hooks: h.remove()
    return found

def folded(net):
    "A copy of `net`, for prediction only, that says the same without its norms"
    net = copy.deepcopy(net).eval()
    for conv, norm in convs_and_norms(net):
        w, b = fuse_conv_bn_weights(conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps,
            norm.weight, norm.bias)
        conv.weight, conv.bias = (nn.Parameter(t.detach().contiguous(memory_format=torch.channels_last)
            if t.ndim == 4 else t.detach()) for t in (w, b))
        norm.forward = getattr(norm, 'act', lambda x: x).__call__ # timm's norms hold their activation; a module set as `forward` would not be called
    return net

def shaken(net):
    "`net` with norms that do something: those of a new one are 0 and 1"
    for m in net.modules():
        if isinstance(m, nn.BatchNorm2d): m.running_mean.normal_(0, .1); m.running_var.uniform_(.5, 2)
    return net

def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('--net', default='slim32')
    p.add_argument('--threads', type=int, default=2); p.add_argument('--rounds', type=int, default=12)
    o = p.parse_args()
    torch.set_num_threads(o.threads); torch.manual_seed(0); keep_memory()
    net = shaken(Unet34(n_in=1) if o.net == 'unet34' else Unet(o.net)).to(memory_format=torch.channels_last)
    x = torch.randn(32, 1, 101, 101).to(memory_format=torch.channels_last)
    y, loss, opt = (torch.rand(32, 101, 101) > .6).long(), make_loss('bce'), torch.optim.AdamW(net.parameters(),
        1e-5, fused=True)
    precision, quick = fastest_precision(net, CPU, (101, 101), 1), torch.compile(net)
    print(f'{machine.name()}, {o.threads} threads, {o.net}, {precision}, torch {torch.__version__}')
    def train(net):
        with autocast(precision, CPU): logits = net(x)
        loss(logits.float(), y).backward(); opt.step(); opt.zero_grad()
    def infer(net):
        with torch.inference_mode(), autocast(precision, CPU): return net(x).float().sigmoid()
    def compare(what, ways):
        for n, way in ways.items(): print(f'{what}, {n}: first call {_timed(lambda: way())[0]:.1f} s')
        times = take_turns({n: lambda way=way: _timed(way)[0] for n, way in ways.items()}, o.rounds,
            lambda *a, **k: None)
        plain = statistics.median(times['plain'])
        for n, v in times.items():
            print(f'{what}, {n:8} {1000*statistics.median(v)/32:6.2f} ms a tile  ({1000*min(v)/32:.2f} to '
                f'{1000*max(v)/32:.2f}), {plain/statistics.median(v):.2f} times as fast')
    net.train()
    compare('training', dict(plain=lambda: train(net), compiled=lambda: train(quick)))
    net.eval()
    flat = folded(net)
    print(f'largest change of a probability by folding: {(infer(net) - infer(flat)).abs().max():.1e}')
    compare('prediction', dict(plain=lambda: infer(net), compiled=lambda: infer(quick), folded=lambda: infer(flat)))

if __name__ == '__main__': main()
