"A run that is killed (-9) and resumed ends as one that was left alone"
import os, signal, subprocess, sys, time
from importlib.util import find_spec

import pandas as pd
import pytest
import torch

ARGS = ['--epochs', '6', '--bs', '8', '--net', 'slim8', '--device', 'cpu', '--precision', 'float32',
    '--quiet', '--seed', '3']
ENV = dict(os.environ, OMP_NUM_THREADS='1', PYTHONWARNINGS='ignore')

def command(*args): return [sys.executable, '-m', 'salt_identification', *map(str, args)]

@pytest.mark.skipif(not hasattr(signal, 'SIGKILL'), reason='no SIGKILL here')
def test_kill_and_resume(small, tmp_path):
    from safetensors.torch import load_file
    alone, killed = tmp_path/'alone', tmp_path/'killed'
    subprocess.run(command('train', small, '--out', alone, *ARGS), env=ENV, check=True, capture_output=True)
    p = subprocess.Popen(command('train', small, '--out', killed, *ARGS), env=ENV, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL)
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

SETTINGS = dict(folds=3, nets=2, epochs=40, bs=8, net='slim8', device='cpu', precision='float32', quiet=True, seed=3)

def epochs(run): return len(pd.read_csv(run/'history.csv')) if (run/'history.csv').exists() else 0

def folds(survey, out):
    "Begin to train two folds side by side, without the `if __name__ == '__main__'` that multiprocessing wants"
    code = f'from salt_identification.folds import train_folds\ntrain_folds({str(survey)!r}, {str(out)!r}, jobs=2, **{SETTINGS})'
    return subprocess.Popen([sys.executable, '-c', code], env=ENV, text=True, stderr=subprocess.PIPE,
        start_new_session=True)

@pytest.fixture
def one_thread():
    n = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n)

def kill_child(p):
    "Kill one of the processes that `p` began, as the system does when memory is short"
    child = int(open(f'/proc/{p.pid}/task/{p.pid}/children').read().split()[0])
    os.kill(child, signal.SIGKILL)

def gone(group):
    try: os.killpg(group, 0)
    except ProcessLookupError: return True

# torch writes a table as it exits; with `tabulate` installed that runs code, and Python forgets what ended it, and says 1
INTERRUPTED = 1 if find_spec('tabulate') else -signal.SIGINT

STRIKES = [(kill_child, 1, 'was killed (signal 9), perhaps for want of memory; the same call goes on'),
    (lambda p: os.killpg(p.pid, signal.SIGINT), INTERRUPTED, 'KeyboardInterrupt'),
    (lambda p: p.kill(), -9, '')]

@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='needs /proc')
def test_folds_killed_and_resumed(small, tmp_path, one_thread):
    "Side by side, and struck three ways on their way: no process is left behind, and the nets are those of folds left alone"
    from safetensors.torch import load_file
    from salt_identification.folds import train_folds
    runs, alone = [[tmp_path/name/f'fold{i}' for i in range(2)] for name in ('struck', 'alone')]
    for strike, code, words in STRIKES:
        before = [epochs(r) for r in runs]
        p = folds(small, tmp_path/'struck')
        while not all(epochs(r) > n for r, n in zip(runs, before)) and p.poll() is None: time.sleep(.02)
        assert p.poll() is None, p.communicate()[1]
        start = time.monotonic()
        strike(p)
        err = p.communicate(timeout=60)[1]
        while not gone(p.pid) and time.monotonic() - start < 60: time.sleep(.05)
        assert gone(p.pid) and time.monotonic() - start < 20
        assert p.returncode == code and words in err, err
        assert max(map(epochs, runs)) < 40, 'a run ended before it could be stopped'
        assert not [f for r in runs for f in r.glob('.*')] or strike is kill_child
    train_folds(small, tmp_path/'struck', jobs=2, **SETTINGS)
    train_folds(small, tmp_path/'alone', jobs=1, **SETTINGS)
    assert not (tmp_path/'struck'/'fold2').exists()
    for a, b in zip(alone, runs):
        same = ['epoch', 'step', 'lr', 'valid_loss', 'mean_precision', 'miou']
        pd.testing.assert_frame_equal(pd.read_csv(a/'history.csv')[same], pd.read_csv(b/'history.csv')[same])
        for name in ('last', 'model'):
            x, y = load_file(a/f'{name}.safetensors'), load_file(b/f'{name}.safetensors')
            assert x.keys() == y.keys() and all(torch.equal(x[k], y[k]) for k in x)

def test_child_says_what_is_wrong(small, tmp_path):
    "What a process of its own has to complain of comes back as one sentence, which names the run"
    from salt_identification.files import SaltError
    from salt_identification.folds import train_folds
    with pytest.raises(SaltError, match=r'^run \S+fold[01]: lr is -1, expected 1e-08 to 10$'):
        train_folds(small, tmp_path/'wrong', jobs=2, lr=-1, **SETTINGS)
    assert not (tmp_path/'wrong').exists()
