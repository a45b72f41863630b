"""All checks of the project: notebooks clean, library equal to the notebooks, every notebook, pytest.

`python tests/check.py` checks; `--fix` writes the library and README.md from the notebooks instead;
`--run 03 08 tutorials/01` runs the notebooks whose names begin so, from the top, and saves them with their outputs;
`--tutorials` runs all tutorials in their short form (`SALTID_QUICK=1`) and saves nothing; without it only the first is.
"""
import base64, json, os, re, shutil, subprocess, sys, tempfile, time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NBS, LIB = ROOT/'nbs', ROOT/'salt_identification'
BY_HAND = {'__init__.py', '__main__.py'}
ENV = dict(os.environ, OMP_NUM_THREADS='1', MPLBACKEND='Agg', PYTHONDONTWRITEBYTECODE='1', NO_COLOR='1')

def notebooks(): return sorted(p for p in NBS.rglob('*.ipynb')
    if not any(q.startswith(('.', '_')) for q in p.parts[len(NBS.parts):]))
def cells(p): return json.loads(p.read_text(encoding='utf-8'))['cells']
def export():
    "Write every module and the index of names from the notebooks"
    from nbdev.doclinks import nbdev_export
    os.chdir(ROOT)
    nbdev_export.__wrapped__() if hasattr(nbdev_export, '__wrapped__') else nbdev_export()

def _relink(text):
    "Links as they are from the root: `index.ipynb` lives in nbs/"
    return re.sub(r'\]\((?!\w+:|#|/)([^)]+)\)',
        lambda m: f']({m[1][3:] if m[1].startswith("../") else "nbs/" + m[1]})', text)

def readme():
    "README.md as `nbs/index.ipynb` says it: markdown, code, and outputs as text; pictures go to docs/images"
    out, img = [], ROOT/'docs'/'images'
    for i, c in enumerate(cells(NBS/'index.ipynb')):
        src = ''.join(c['source'])
        if not src.strip() or src.lstrip().startswith('#| hide') or src.lstrip().startswith('---'): continue
        if c['cell_type'] == 'markdown': out.append(_relink(src)); continue
        code = '\n'.join(l for l in src.split('\n') if not l.startswith('#|'))
        if '#| echo: false' not in src: out.append(f'```python\n{code.strip()}\n```')
        for o in c.get('outputs', []):
            data = o.get('data', {})
            if 'image/png' in data:
                name = f'readme_{len(list(filter(lambda l: l.startswith("!["), out))) + 1}.png'
                img.mkdir(parents=True, exist_ok=True)
                (img/name).write_bytes(base64.b64decode(''.join(data['image/png'])))
                alt = re.search(r'^#\| fig-alt: (.+)', src, re.M)
                out.append(f'![{alt[1] if alt else "Picture"}](docs/images/{name})')
            elif o.get('output_type') == 'stream' or 'text/plain' in data:
                text = ''.join(o.get('text') or data['text/plain']).rstrip()
                if text and not text.startswith('<Figure'): out.append('```text\n' + text + '\n```')
    return '<!-- Made from nbs/index.ipynb by `make export`; edit the notebook. -->\n\n' + '\n\n'.join(out) + '\n'

def name(p): return p.relative_to(NBS).as_posix()

def run_tutorials(some):
    "Tutorials in their short form, from the top, unsaved; the names of those that fail"
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError
    bad = []
    os.environ.update(ENV, SALTID_QUICK='1', PYTHONWARNINGS='ignore',
        MPLBACKEND='module://matplotlib_inline.backend_inline',
        PYTHONPATH=os.pathsep.join([str(ROOT), *filter(None, [os.environ.get('PYTHONPATH')])]))
    for p in some:
        t = time.time()
        try: NotebookClient(nbformat.read(p, 4), timeout=600,
            resources=dict(metadata=dict(path=str(p.parent)))).execute()
        except (CellExecutionError, RuntimeError, TimeoutError) as e: bad.append(name(p)); print(e)
        print(f'{name(p)}: {"failed" if name(p) in bad else "ok"}, {time.time()-t:.0f} s', flush=True)
    return bad

def run_notebook(p):
    "Run a notebook from the top and save it, clean, with its outputs; nothing is saved if a cell fails"
    import nbformat
    from nbclient import NotebookClient
    from nbdev.clean import clean_nb
    from fastcore.nbio import read_nb, write_nb
    nb, t = nbformat.read(p, 4), time.time()
    os.environ.pop('SALTID_QUICK', None)
    os.environ.update(ENV, MPLBACKEND='module://matplotlib_inline.backend_inline', PYTHONWARNINGS='ignore',
        PYTHONPATH=os.pathsep.join([str(ROOT), *filter(None, [os.environ.get('PYTHONPATH')])]))
    NotebookClient(nb, timeout=3600, resources=dict(metadata=dict(path=str(p.parent)))).execute()
    nbformat.write(nb, p)
    nb = read_nb(p); nb.metadata.pop('widgets', None); clean_nb(nb); write_nb(nb, p)
    print(f'{p.name}: {time.time()-t:.0f} s, {p.stat().st_size//1024} KB', flush=True)

HERE = re.compile(r'(?:/[\w.-]+)*/(?:site-packages|lib/python3)|/home/|/root/|[A-Z]:\\\\Users')

def check_clean():
    "Notebooks as `nbdev-clean` leaves them, without errors, folders of one machine, over 500 KB, or long lines"
    from nbdev.clean import clean_nb
    from fastcore.nbio import read_nb, write_nb
    bad = []
    with tempfile.TemporaryDirectory() as tmp:
        for p in notebooks():
            q = Path(tmp)/p.name
            nb = read_nb(p); clean_nb(nb); write_nb(nb, q)
            if json.loads(q.read_text()) != json.loads(p.read_text()): bad.append(f'{p.name}: run nbdev-clean')
            if any(o.get('output_type') == 'error' for c in cells(p) for o in c.get('outputs', [])):
                bad.append(f'{p.name}: holds an error')
            if any(HERE.search(json.dumps(o)) for c in cells(p) for o in c.get('outputs', [])):
                bad.append(f'{p.name}: names a folder of the machine it was run on')
            lines = [l for c in cells(p) if c['cell_type'] == 'code' for l in ''.join(c['source']).split('\n')]
            bad += [f'{p.name}: over 120 characters: {l.strip()[:50]} ...' for l in lines if len(l) > 120
                and not l.startswith('#|')]
            if p.stat().st_size > 500*1024: bad.append(f'{p.name}: over 500 KB')
    return bad

def check_export():
    "The library and README.md are what the notebooks say"
    before = {p.name: p.read_text() for p in LIB.glob('*.py') if p.name not in BY_HAND}
    old = (ROOT/'README.md').read_text() if (ROOT/'README.md').exists() else ''
    with tempfile.TemporaryDirectory() as tmp:
        for d in ('nbs', 'salt_identification'):
            shutil.copytree(ROOT/d, Path(tmp)/d, ignore=shutil.ignore_patterns('__pycache__', '.ipynb_checkpoints'))
        for f in ('pyproject.toml', 'settings.ini', 'setup.py'): shutil.copy(ROOT/f, tmp)
        for n in before: (Path(tmp)/'salt_identification'/n).unlink()
        subprocess.run([sys.executable, '-c', 'from nbdev.doclinks import nbdev_export; nbdev_export()'],
            cwd=tmp, check=True, env=ENV)
        after = {p.name: p.read_text() for p in (Path(tmp)/'salt_identification').glob('*.py') if p.name not in BY_HAND}
    bad = [f'{n}: differs from its notebook; run `make export`' for n in sorted(before.keys() | after.keys())
        if before.get(n) != after.get(n)]
    return bad + (['README.md: differs from nbs/index.ipynb; run `make export`'] if (NBS/'index.ipynb').exists()
        and readme() != old else [])

def run(*cmd, cwd=ROOT):
    return subprocess.run([sys.executable, *cmd], cwd=cwd, env=ENV, stdin=subprocess.DEVNULL).returncode

def main():
    if '--run' in sys.argv:
        for p in notebooks():
            if name(p).startswith(tuple(sys.argv[2:])): run_notebook(p)
        return 0
    if '--tutorials' in sys.argv: return int(bool(run_tutorials(sorted((NBS/'tutorials').glob('*.ipynb')))))
    if '--fix' in sys.argv:
        export()
        if (NBS/'index.ipynb').exists(): (ROOT/'README.md').write_text(readme(), encoding='utf-8')
        return 0
    t, bad = time.time(), []
    for f in (check_clean, check_export):
        found = f(); bad += found
        print(f'{f.__doc__}:', 'ok' if not found else '', *found, sep='\n  ' if found else ' ', flush=True)
    if notebooks():
        print('Every notebook, run from the top ...', flush=True)
        if run('-c', 'from nbdev.test import nbdev_test; nbdev_test(n_workers=2, timing=True, '
            'skip_folder_re="^[_.]|^tutorials$")'): bad.append('nbdev-test')
        bad += run_tutorials([NBS/'tutorials'/'01_twelve_lines.ipynb'])
    if list((ROOT/'tests').glob('test_*.py')):
        if run('-m', 'pytest', '-q', 'tests'): bad.append('pytest')
    print(f'{"All checks passed" if not bad else "FAILED: " + "; ".join(bad)} in {time.time()-t:.0f} s', flush=True)
    return int(bool(bad))

if __name__ == '__main__': sys.exit(main())
