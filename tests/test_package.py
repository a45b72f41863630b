"The package as pip sees it"
import configparser, re, shutil, subprocess, sys, zipfile
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

def test_no_nbdev_at_run_time():
    "No module but the tests' tools names nbdev; `all` imports without it"
    for p in (ROOT/'salt_identification').glob('*.py'):
        if p.name != '_modidx.py': assert not re.search(r'^\s*(from|import) nbdev', p.read_text(encoding='utf-8'), re.M), p.name
    code = "import sys; sys.modules['nbdev'] = None; from salt_identification.all import *; print('fine')"
    assert subprocess.run([sys.executable, '-W', 'ignore', '-c', code], capture_output=True, text=True).stdout.strip() == 'fine'

def test_wheel_is_python_only(tmp_path):
    pytest.importorskip('setuptools', reason='building without a network needs setuptools here')
    pytest.importorskip('wheel', reason='building without a network needs wheel here') if sys.version_info < (3, 12) and not _builds_alone() else None
    src = tmp_path/'src'; src.mkdir()
    for n in ('settings.ini', 'setup.py', 'pyproject.toml', 'README.md'): shutil.copy(ROOT/n, src)
    shutil.copytree(ROOT/'salt_identification', src/'salt_identification', ignore=shutil.ignore_patterns('__pycache__'))
    subprocess.run([sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps', '--no-build-isolation', '--wheel-dir', str(tmp_path), str(src)], check=True, capture_output=True)
    names = zipfile.ZipFile(next(tmp_path.glob('*-none-any.whl'))).namelist()
    assert all(n.endswith('.py') or '.dist-info/' in n for n in names), names
    assert 'salt_identification/cli.py' in names and 'salt_identification/__main__.py' in names

def _builds_alone():
    "Since version 70.1 setuptools builds wheels by itself"
    import setuptools
    return tuple(map(int, setuptools.__version__.split('.')[:2])) >= (70, 1)
