"A run that is killed (-9) and resumed ends as one that was left alone"
import os, signal, subprocess, sys, time

import pandas as pd
import pytest
import torch

ARGS = ['--epochs', '6', '--bs', '8', '--net', 'slim8', '--device', 'cpu', '--precision', 'float32', '--quiet', '--seed', '3']
ENV = dict(os.environ, OMP_NUM_THREADS='1', PYTHONWARNINGS='ignore')

def command(*args): return [sys.executable, '-m', 'salt_identification', *map(str, args)]

@pytest.mark.skipif(not hasattr(signal, 'SIGKILL'), reason='no SIGKILL here')
def test_kill_and_resume(small, tmp_path):
    from safetensors.torch import load_file
    alone, killed = tmp_path/'alone', tmp_path/'killed'
    subprocess.run(command('train', small, '--out', alone, *ARGS), env=ENV, check=True, capture_output=True)
    p = subprocess.Popen(command('train', small, '--out', killed, *ARGS), env=ENV, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (killed/'last.safetensors').exists() and p.poll() is None: time.sleep(.005)
    p.send_signal(signal.SIGKILL); p.wait()
    before = pd.read_csv(killed/'history.csv') if (killed/'history.csv').exists() else []
    assert len(before) < 6, 'the run ended before it could be killed'
    subprocess.run(command('resume', killed, '--device', 'cpu', '--quiet'), env=ENV, check=True, capture_output=True)
    a, b = pd.read_csv(alone/'history.csv'), pd.read_csv(killed/'history.csv')
    same = ['epoch', 'step', 'lr', 'valid_loss', 'mean_precision', 'miou']
    pd.testing.assert_frame_equal(a[same], b[same])
    for name in ('last', 'model'):
        x, y = load_file(alone/f'{name}.safetensors'), load_file(killed/f'{name}.safetensors')
        assert all(torch.equal(x[k], y[k]) for k in x)
    assert not list(killed.glob('.*'))
