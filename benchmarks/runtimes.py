"""Which program predicts fastest? torch, ONNX Runtime and OpenVINO on the same run, taking turns.

    python benchmarks/runtimes.py RUN DATA [--rounds 5] [--tiles 320]

Prints a table: tiles a second (flip TTA), size of the file, largest difference of probabilities from torch in float32, and
the change of the score on the held-out part of the run.
"""
import argparse, statistics, time
from pathlib import Path

import machine
from salt_identification.export import export_run, load_exported
from salt_identification.learner import load_run
from salt_identification.metrics import mean_precision
from salt_identification.training import bf16_slow
from salt_identification.tta import predict_tiles

def kinds(run):
    "name -> a learner"
    for to, int8 in (('onnx', False), ('onnx', True), ('openvino', False)): export_run(run, to, int8, overwrite=True)
    out = {}
    for precision in ('float32', *['bf16']*(not bf16_slow())):
        out[f'torch {precision}'] = load_run(run, device='cpu')
        out[f'torch {precision}'].precision = precision
    return out | {'ONNX Runtime float32': load_exported(run), 'ONNX Runtime int8': load_exported(run, 'onnx-int8'),
        'OpenVINO float32': load_exported(run, 'openvino'), 'OpenVINO bf16': load_exported(run, 'openvino', 'bf16')}

def size(run, name):
    files = {'ONNX Runtime float32': 'onnx/model.onnx', 'ONNX Runtime int8': 'onnx-int8/model.onnx',
        'OpenVINO float32': 'openvino/model.bin', 'OpenVINO bf16': 'openvino/model.bin'}
    p = Path(run)/'exported'/files[name] if name in files else Path(run)/'model.safetensors'
    return p.stat().st_size/2**20

def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('run'); p.add_argument('data')
    p.add_argument('--rounds', type=int, default=5); p.add_argument('--tiles', type=int, default=320)
    o = p.parse_args()
    learners = kinds(o.run)
    held = load_run(o.run, o.data, device='cpu').dls.valid_tiles
    some, times, maps = held[:o.tiles], {n: [] for n in learners}, {}
    for n, l in learners.items(): maps[n] = predict_tiles(l, held, 'flip').mean[:,0].numpy()
    for _ in range(o.rounds):
        for n, l in learners.items():
            t = time.perf_counter(); predict_tiles(l, some, 'flip'); times[n].append(time.perf_counter() - t)
    base = maps['torch float32']
    score = lambda m: float(mean_precision(m > .5, held.masks > 0))
    print(f'{machine.name()}; {len(some)} tiles of {some.images.shape[1:]}, flip TTA, {o.rounds} rounds; '
        f'held out {len(held)}')
    print('| program | tiles a second (smallest to largest) | MiB | largest difference | score |\n|---|---|---|---|---|')
    for n in learners:
        rate = sorted(len(some)/t for t in times[n])
        print(f'| {n} | {statistics.median(rate):.0f} ({rate[0]:.0f} to {rate[-1]:.0f}) | '
            f'{size(o.run, n):.1f} | {abs(maps[n] - base).max():.4f} | {score(maps[n]) - score(base):+.4f} |')

if __name__ == '__main__': main()
