"The package as pip sees it"
import configparser, json, os, re, shutil, subprocess, sys, zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

def test_one_version():
    ini = configparser.ConfigParser(delimiters=['=']); ini.read(ROOT/'settings.ini', encoding='utf-8')
    import salt_identification
    assert salt_identification.__version__ == ini['DEFAULT']['version']

def test_import_is_light():
    "`import salt_identification` loads neither torch nor fastai nor nbdev"
    code = "import sys, salt_identification; print(sorted({'torch','fastai','nbdev'} & set(sys.modules)))"
    out = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == '[]'

def test_help_comes_at_once():
    "`saltid --help` imports nothing heavy, and takes well under .3 seconds of work"
    code = ("import sys, time\nfrom salt_identification.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
        "print(time.process_time(), sorted({'torch', 'fastai', 'pandas', 'numpy', 'matplotlib', "
        "'nbdev'} & set(sys.modules)), file=sys.stderr)")
    runs = [subprocess.run([sys.executable, '-c', code], capture_output=True, text=True,
        check=True).stderr.split(' ', 1) for _ in range(3)]
    assert all(heavy.strip() == '[]' for _, heavy in runs)
    assert min(float(seconds) for seconds, _ in runs) < .3

def test_no_nbdev_at_run_time():
    "No module but the tests' tools names nbdev; `all` imports without it"
    for p in (ROOT/'salt_identification').glob('*.py'):
        if p.name != '_modidx.py':
            assert not re.search(r'^\s*(from|import) nbdev', p.read_text(encoding='utf-8'), re.M), p.name
    code = "import sys; sys.modules['nbdev'] = None; from salt_identification.all import *; print('fine')"
    assert subprocess.run([sys.executable, '-W', 'ignore', '-c', code], capture_output=True,
        text=True).stdout.strip() == 'fine'

def test_wheel_is_python_and_recipes(tmp_path):
    pytest.importorskip('setuptools', reason='building without a network needs setuptools here')
    pytest.importorskip('wheel', reason='building without a network needs wheel here') if sys.version_info < (3,
        12) and not _builds_alone() else None
    src = tmp_path/'src'; src.mkdir()
    for n in ('settings.ini', 'setup.py', 'pyproject.toml', 'MANIFEST.in', 'README.md'): shutil.copy(ROOT/n, src)
    shutil.copytree(ROOT/'salt_identification', src/'salt_identification', ignore=shutil.ignore_patterns('__pycache__'))
    subprocess.run([sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps', '--no-build-isolation',
        '--wheel-dir', str(tmp_path), str(src)], check=True, capture_output=True)
    wheel = zipfile.ZipFile(next(tmp_path.glob('*-none-any.whl')))
    names = wheel.namelist()
    data = {'salt_identification/py.typed', 'salt_identification/gallery.html'}
    assert data <= set(names)
    assert all(n.endswith('.py') or n.startswith('salt_identification/recipes/') or n in data
        or '.dist-info/' in n for n in names), names
    assert {n for n in names if '/recipes/' in n} == {f'salt_identification/recipes/{r}.toml'
        for r in ('quick', 'hour', 'evening')}
    assert {n.split('/')[0] for n in names if '.dist-info/' not in n} == {'salt_identification'}, names
    assert 'salt_identification/cli.py' in names and 'salt_identification/__main__.py' in names
    text = {n.split('/')[-1]: wheel.read(n).decode() for n in names if '.dist-info/' in n}
    assert 'Root-Is-Purelib: true' in text['WHEEL'] and 'saltid = salt_identification.cli:main' in text[
        'entry_points.txt']
    assert 'License-Expression: Apache-2.0' in text['METADATA'] or 'License: Apache-2.0' in text['METADATA']
    assert sum(i.file_size for i in wheel.infolist()) < 1_000_000

def _builds_alone():
    "Since version 70.1 setuptools builds wheels by itself"
    import setuptools
    return tuple(map(int, setuptools.__version__.split('.')[:2])) >= (70, 1)

def test_index_runs(tmp_path):
    "The lines of the index, and so of README.md, run offline in an empty folder (fewer tiles and steps than on the page)"
    cells = json.loads((ROOT/'nbs'/'index.ipynb').read_text(encoding='utf-8'))['cells']
    code = '\n'.join(''.join(c['source']) for c in cells if c['cell_type'] == 'code'
        and '#| hide' not in ''.join(c['source']))
    for page, here in (('n=1200', 'n=60'), ('steps=600', 'steps=2')):
        assert code.count(page) == 1, page
        code = code.replace(page, here)
    offline = 'import socket\ndef no(*args): raise OSError("no network")\nsocket.socket.connect = socket.getaddrinfo = no\n'
    r = subprocess.run([sys.executable, '-W', 'ignore', '-c', offline + code], cwd=tmp_path,
        capture_output=True, text=True, env=dict(os.environ, MPLBACKEND='Agg'))
    assert r.returncode == 0, r.stderr
    assert len((tmp_path/'submission.csv').read_text().splitlines()) == 1 + 15 and (tmp_path/'run'/'cut.json').exists()


def test_a_parameter_that_may_be_none_says_so():
    import ast
    for p in sorted((ROOT/'salt_identification').glob('*.py')):
        for f in ast.walk(ast.parse(p.read_text(encoding='utf-8'))):
            if not isinstance(f, ast.FunctionDef): continue
            args = f.args.args
            for a, d in zip(args[len(args) - len(f.args.defaults):], f.args.defaults):
                if a.annotation and isinstance(d, ast.Constant) and d.value is None:
                    assert 'None' in ast.unparse(a.annotation), f'{p.name} {f.name}: {a.arg}'
