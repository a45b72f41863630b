"Reads `settings.ini`, the one home of the package's metadata; `pip install .` and `pip install -e .` come through here."
from configparser import ConfigParser
from pathlib import Path
from setuptools import find_packages, setup

here = Path(__file__).parent
ini = ConfigParser(delimiters=['='])
ini.read(here/'settings.ini', encoding='utf-8')
cfg = ini['DEFAULT']
extras = {k.removesuffix('_requirements'): v.split() for k, v in cfg.items() if k.endswith('_requirements')}
readme = here/'README.md'

setup(
    name=cfg['lib_name'], version=cfg['version'], description=cfg['description'], keywords=cfg['keywords'],
    author=cfg['author'], author_email=cfg['author_email'], license=cfg['license'],
    long_description=readme.read_text(encoding='utf-8') if readme.exists() else '',
    long_description_content_type='text/markdown',
    packages=find_packages(include=['salt_identification*']), include_package_data=False,
    package_data={'salt_identification': ['recipes/*.toml', 'gallery.html', 'py.typed']},
    python_requires=f">={cfg['min_python']},<{cfg['max_python']}", install_requires=cfg['requirements'].split(),
    extras_require=extras,
    entry_points=dict(console_scripts=cfg['console_scripts'].split(),
    nbdev=['salt_identification=salt_identification._modidx:d']),
    zip_safe=False)
