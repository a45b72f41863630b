"""Build the wheel and the source archive, and try both on each Python that is named.

    python tests/try_wheel.py python3.10 python3.11 python3.12 python3.13

Only what does without torch is tried (torch is gigabytes): importing, `saltid` and its help, a synthetic survey, a score.
"""
import subprocess, sys, tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIGHT = ['numpy', 'pandas', 'pillow', 'scikit-image', 'matplotlib', 'fastcore', 'tomli', 'safetensors']
TRIES = [['-c', 'import salt_identification as s, importlib.resources as r; assert (r.files("salt_identification")/"py.typed").is_file() and (r.files("salt_identification")/"recipes"/"hour.toml").is_file(); print(s.__version__)'],
    ['-m', 'salt_identification', '--help'], ['-m', 'salt_identification', '--version'],
    ['-c', 'from salt_identification.rle import rle_decode, rle_encode; import numpy as np; m = np.eye(5); '
    'assert (rle_decode(rle_encode(m), (5,5)) == m).all()'],
    ['-m', 'salt_identification', 'synth', 'DATA', '--n', '12', '--quiet']]

def run(*cmd, cwd=ROOT):
    done = subprocess.run(list(map(str, cmd)), cwd=cwd, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode: sys.exit(f'{" ".join(map(str, cmd))} failed:\n{(done.stdout + done.stderr)[-3000:]}')
    return done.stdout

def main(pythons):
    with tempfile.TemporaryDirectory() as d:
        d = Path(d)
        run(sys.executable, '-m', 'venv', d/'build')
        run(d/'build'/'bin'/'python', '-m', 'pip', 'install', '-q', 'build')
        run(d/'build'/'bin'/'python', '-m', 'build', '-o', d/'dist', ROOT)
        wheel, sdist = next((d/'dist').glob('*.whl')), next((d/'dist').glob('*.tar.gz'))
        print(f'{wheel.name} {wheel.stat().st_size//1024} KB, {sdist.name} {sdist.stat().st_size//1024} KB')
        for k, python in enumerate(pythons):
            venv = d/f'venv{k}'
            run(python, '-m', 'venv', venv)
            pip = [venv/'bin'/'python', '-m', 'pip', 'install', '-q', '--disable-pip-version-check']
            run(*pip, *LIGHT)
            for what in (wheel, sdist):
                run(*pip, '--no-deps', '--force-reinstall', what)
                for t in TRIES: run(venv/'bin'/'python', *t, cwd=venv)
                (venv/'DATA').rename(venv/f'DATA of {what.name}')
            print(f'{run(python, "--version").strip()}: ok', flush=True)

if __name__ == '__main__': main(sys.argv[1:] or [sys.executable])
