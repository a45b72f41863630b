"The package as pip sees it"
import configparser, subprocess, sys
from pathlib import Path
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
