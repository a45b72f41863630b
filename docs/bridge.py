"""From notebooks to what Sphinx with myst-nb renders: `python docs/bridge.py OUT` fills the folder OUT.

nbdev's own `_proc/` is not the source: it drops the code of every helper and shows parameters as a listing. Here each
public name gets an entry (signature, table of parameters, source), its code can be unfolded below, helpers stay where
they are explained, backticked names become links, and pictures get the `#| fig-alt` of their cell as their text, or the
sentence before them.
"""
import ast, json, re, shutil, sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NBS, PACKAGE = ROOT/'nbs', 'salt_identification'
PAGES = {'benchmarks/RESULTS.md': 'every number that is claimed, with machine, date and seed',
    'benchmarks/ABLATIONS.md': 'which tricks hold, and by how much', 'CONTRIBUTING.md': 'how to change a cell and hand it in',
    'CHANGELOG.md': 'what is new', 'docs/README.md': 'how this site is made'}
FRONT = 'nbs/index.ipynb'
HIDDEN = {'hide', 'default_exp'}
KIND = dict(FunctionDef='function', AsyncFunctionDef='function', ClassDef='class')

# --- notebooks ----------------------------------------------------------------------------------------------------------

def read(path): return json.loads(Path(path).read_text(encoding='utf-8'))
def source(cell): return ''.join(cell['source'])
def directives(cell):
    return {l[2:].split(':')[0].strip().split()[0] for l in source(cell).splitlines() if re.match(r'#\|\s*\w', l)}
def code(cell): return '\n'.join(l for l in source(cell).splitlines() if not l.startswith('#|')).strip('\n')
def told(cell):
    "What a cell says of its picture in `#| fig-alt`, or None"
    m = re.search(r'^#\|\s*fig-alt:\s*(.+)', source(cell), re.M)
    return m and m[1].strip()
def untold(nb):
    "Ids of the cells whose pictures reach the site without a text of their own"
    return [c['id'] for c in nb['cells'] if not directives(c) & HIDDEN and not told(c)
        and any({'image/png', 'image/jpeg'} & o.get('data', {}).keys() for o in c.get('outputs', []))]
def library(): return sorted(p for p in NBS.glob('*.ipynb') if p.stem != 'index')
def tutorials(): return sorted((NBS/'tutorials').glob('*.ipynb'))

def module_of(nb):
    "The module that a notebook exports to, or None"
    for c in nb['cells']:
        m = re.search(r'^#\|\s*default_exp\s+(\S+)', source(c), re.M)
        if m: return f'{PACKAGE}.{m[1]}'

def names_of(module):
    "The `__all__` of a module, without importing it"
    tree = ast.parse((ROOT/module.replace('.', '/')).with_suffix('.py').read_text(encoding='utf-8'))
    return next((ast.literal_eval(n.value) for n in tree.body if isinstance(n, ast.Assign)
        and ast.unparse(n.targets[0]) == '__all__'), [])

def opening(nb):
    "(title, subtitle) of a notebook"
    text = source(nb['cells'][0])
    return re.search(r'^# (.+)', text, re.M)[1].strip(), (re.search(r'^> (.+(?:\n> .+)*)', text, re.M)
        or ['', ''])[1].replace('\n> ', ' ')

# --- entries -------------------------------------------------------------------------------------------------------------

def _comments(src):
    "dict line number -> the remark at its end"
    import io, tokenize
    return {t.start[0]: t.string[1:].strip() for t in tokenize.generate_tokens(io.StringIO(src).readline)
        if t.type == tokenize.COMMENT}

def parameters(fn, src):
    "[(name, type, default, meaning)] of a function's node, and (type, meaning) of what it returns"
    said, a, rows = _comments(src), fn.args, []
    plain = a.posonlyargs + a.args
    given = [None]*(len(plain) - len(a.defaults)) + a.defaults
    starred = lambda arg, stars: [(arg, None, stars)] if arg else []
    for arg, default, stars in [*((p, d, '') for p, d in zip(plain, given)), *starred(a.vararg, '*'),
        *((p, d, '') for p, d in zip(a.kwonlyargs, a.kw_defaults)), *starred(a.kwarg, '**')]:
        if arg.arg in ('self', 'cls'): continue
        line = default.end_lineno if default else arg.end_lineno
        rows.append((stars + arg.arg, ast.unparse(arg.annotation) if arg.annotation else '',
            ast.unparse(default) if default else '', said.get(line, '')))
    if len({r[3] for r in rows}) == 1 and len(rows) > 1: rows = [(*r[:3], '') for r in rows]
    before = fn.body[0].lineno
    last = next((l for l in range(before - 1, fn.lineno - 1, -1) if re.search(r'\).*:\s*(#|$)', src.splitlines()[l-1])),
        None)
    gives = (ast.unparse(fn.returns) if fn.returns else '',
        said.get(last, '') if last and (last > fn.lineno or not rows) else '')
    return rows, gives

def _cell(text): return str(text).replace('|', '\\|').replace('\n', ' ')
def _code(text): return f'`{_cell(text)}`' if text else ''

def table(rows, gives):
    "Parameters and what is returned, as a table"
    if not rows and not any(gives): return ''
    lines = ['| parameter | meaning | type | default |', '|---|---|---|---|']
    lines += [f'| {_code(n)} | {link_names(_cell(m))} | {_code(t)} | {_code(d)} |' for n, t, d, m in rows]
    if any(gives): lines.append(f'| *returns* | {link_names(_cell(gives[1]))} | {_code(gives[0])} | |')
    return '\n'.join(lines)

def _signature(fn):
    "Names and defaults, without types"
    args = ast.parse(ast.unparse(fn)).body[0].args
    for p in [*args.posonlyargs, *args.args, *args.kwonlyargs, *filter(None, [args.vararg, args.kwarg])]:
        p.annotation = None
    if args.args and args.args[0].arg in ('self', 'cls'): args.args = args.args[1:]
    return f'({ast.unparse(args)})'

def _patched(node):
    "Name of the class that a function is patched into, or None"
    if not any(ast.unparse(d).startswith('patch') for d in getattr(node, 'decorator_list', [])): return None
    a = node.args.args[0].annotation
    return ast.unparse(a.elts[0] if isinstance(a, ast.Tuple) else a) if a else None

def _fields(cls, src):
    "Rows for the fields of a dataclass"
    said = _comments(src)
    return [(n.target.id, ast.unparse(n.annotation), ast.unparse(n.value) if n.value else '',
        said.get(n.end_lineno, '')) for n in cls.body if isinstance(n, ast.AnnAssign)]

def entry(node, src, module, owner=None):
    "The entry of a public function, class or constant, as a Sphinx directive"
    name = f'{owner}.{node.name}' if owner else node.name
    doc = ast.get_docstring(node) or ''
    init = node if not isinstance(node,
        ast.ClassDef) else next((n for n in node.body if getattr(n, 'name', '') == '__init__'), None)
    rows, gives = parameters(init, src) if init else (_fields(node, src), ('', ''))
    prop = any('as_prop' in ast.unparse(d) or ast.unparse(d) == 'property' for d in node.decorator_list)
    kind = ('property' if prop else 'method') if owner else KIND[type(node).__name__]
    sig = '' if prop else _signature(init) if init else f'({", ".join(r[0] + ("=" + r[2] if r[2] else "") for r in rows)})'
    return directive(kind, name, sig, module, link_names(doc) + ('.' if doc and doc[-1] not in '.!?' else ''),
        table(rows, gives))

def directive(kind, name, sig, module, *body):
    text = '\n\n'.join(filter(None, body))
    return f'<span id="{name}"></span>\n\n````{{py:{kind}}} {name}{sig}\n:module: {module}\n\n{text}\n````'

def entries(src, module, public):
    "[entry] of what a cell defines"
    out = []
    for node in ast.parse(src).body:
        if type(node).__name__ in KIND:
            owner = _patched(node)
            if owner and not node.name.startswith('_') and (owner in public or owner in _everywhere):
                out.append(entry(node, src, module, owner))
            elif not owner and node.name in public: out.append(entry(node, src, module))
        elif isinstance(node, ast.Assign|ast.AnnAssign) and node.value:
            said = _comments(src)
            for t in getattr(node, 'targets', None) or [node.target]:
                for v in (t.elts if isinstance(t, ast.Tuple) else [t]):
                    if isinstance(v, ast.Name) and v.id in public:
                        value = ast.unparse(node.value)
                        out.append(directive('data', v.id, '', module,
                            f'`{_cell(value)}`' if len(value) < 100 else '', said.get(node.end_lineno, '')))
    return out

# --- links ---------------------------------------------------------------------------------------------------------------

_everywhere = {} # public name -> its module

def learn_names():
    "Fill `_everywhere` from the modules' `__all__`"
    for p in library():
        module = module_of(read(p))
        if module and not module.endswith('.all'):
            for n in names_of(module): _everywhere.setdefault(n, module)

def link_names(text):
    "Backticked public names become links, outside of code, headings and links; code with lines for the shell is called so"
    text = re.sub(r'```python\n(?=[^`]*^[!%])', '```ipython3\n', text, flags=re.M)
    out, fence = [], False
    for line in text.split('\n'):
        if line.lstrip().startswith('```'): fence = not fence
        if fence or line.startswith('#') or line.lstrip().startswith('```'): out.append(line); continue
        out.append(re.sub(r'(\[[^\]]*\]\([^)]*\))|(?<!`)`([A-Za-z_][\w.]*)`(?!`)',
            lambda m: m[1] or _named(m[2]), line))
    return '\n'.join(out)

def _named(name):
    first, _, rest = name.rpartition('.')
    short = rest if first in ('', *{m.rpartition('.')[2] for m in _everywhere.values()}) else name
    if short in _everywhere: return f'{{py:obj}}`{name} <{_everywhere[short]}.{short}>`'
    return f'`{name}`'

def title_of(rel):
    "The title of a page, by which the menu calls it, after a notebook's number"
    p = ROOT/rel
    if p.suffix != '.ipynb': return re.search(r'^# (.+)', p.read_text(encoding='utf-8'), re.M)[1]
    return ' '.join([*re.findall(r'^\d+[a-z]?', p.stem), opening(read(p))[0]])

def relink(text, page, pages):
    "Links to pages that are called by their file get the page's title; files that are no pages are named, as plain text"
    def go(m):
        label, target = m[1], m[2]
        if re.match(r'\w+:|#', target): return m[0]
        path, _, anchor = target.partition('#')
        full = (ROOT/page).parent/path
        rel = full.resolve().relative_to(ROOT).as_posix() if full.exists() else None
        if rel is None: raise SystemExit(f'{page}: the link {target} leads nowhere')
        if rel == FRONT: return f'[{label}](/index.ipynb)'
        if rel in pages: return f'[{title_of(rel)}]({target})' if label in (rel, full.name, full.stem) else m[0]
        return f'{label} (`{rel}`)' if rel not in label else label
    return re.sub(r'(?<!!)\[([^\]]*)\]\(([^)\s]+)\)', go, text)

# --- pages ---------------------------------------------------------------------------------------------------------------

def sentence(text):
    "The last sentence of a text, without headings and marks"
    text = re.sub(r'```.*?```|^#+ .*?$', '', text, flags=re.S|re.M)
    text = re.sub(r'\[([^\]]*)\]\([^)]*\)|[`*#>|]', lambda m: m[1] or '', text)
    parts = [s.strip() for s in re.split(r'(?<=[.:!?])\s+', ' '.join(text.split())) if s.strip()]
    return (parts[-1].rstrip(':') if parts else 'Picture')[:240]

def bridge(path, pages):
    "A notebook as myst-nb takes it"
    nb, rel = read(path), Path(path).relative_to(ROOT).as_posix()
    module, cells, said = module_of(nb), [], 'Picture'
    public = set(names_of(module)) if module and not module.endswith('.all') else set()
    for c in nb['cells']:
        d = directives(c)
        if not source(c).strip() or d & HIDDEN: continue
        if c['cell_type'] == 'markdown':
            text, said = relink(source(c), rel, pages), sentence(source(c)) if not source(c).startswith('|') else said
            cells.append(dict(c, source=link_names(text))); continue
        tags, made = [], []
        if d & {'export', 'exports', 'exporti'}:
            tree = ast.parse(code(c))
            if all(isinstance(n, (ast.Import, ast.ImportFrom)) for n in tree.body): continue
            made = entries(code(c), module, public)
            cells += [dict(cell_type='markdown', id=f'{c["id"]}-{i}', metadata={}, source=e)
                for i, e in enumerate(made)]
        if made: tags = ['hide-input']
        if 'echo' in d or 'hide_input' in d: tags = ['remove-input']
        meta = dict(tags=tags, mystnb=dict(image=dict(alt=told(c) or said)))
        cells.append(dict(c, source=code(c), metadata=meta, outputs=[_output(o) for o in c.get('outputs', [])]))
    heads = {re.sub(r'[^\w -]', '', h).strip().lower().replace(' ', '-') for c in cells
        if c['cell_type'] == 'markdown' for h in re.findall(r'^#+ (.+)', c['source'], re.M)}
    for c in cells: c['source'] = re.sub(r'^<span id="([^"]*)"></span>\n\n',
        lambda m: '' if m[1].lower() in heads else m[0], c['source'])
    meta = dict(kernelspec=dict(name='python3', display_name='Python 3', language='python'),
        language_info=dict(name='python'))
    return dict(cells=cells, metadata=meta, nbformat=4, nbformat_minor=5)

def _output(o):
    "Of a picture not its text; without colours of the terminal"
    data = o.get('data', {})
    if any(k.startswith('image/') for k in data):
        o = dict(o, data={k: v for k, v in data.items() if k.startswith('image/')})
    if 'text' in o: o = dict(o, text=re.sub(r'\x1b\[[0-9;]*m', '', ''.join(o['text'])))
    return o

def at_root(text):
    "Links of `nbs/index.ipynb` as they are one folder up"
    return re.sub(r'\]\((?!\w+:|#|/)([^)]+)\)',
        lambda m: f']({m[1][3:] if m[1].startswith("../") else "nbs/" + m[1]})', text)

def section(title, about, docs):
    "A page that lists others, each with its first sentence"
    lines = [f'# {title}', '', about, '', '```{toctree}', ':hidden:', '', *docs, '```', '']
    for d in docs:
        p = ROOT/(d[1:] + '.ipynb')
        t, s = opening(read(p)) if p.exists() else ('', PAGES[d[1:] + '.md'])
        lines.append(f'- [{t}]({d}{p.suffix if p.exists() else ".md"})' + (f': {s}' if s else ''))
    return '\n'.join(lines) + '\n'

def write(out, name, text):
    p = Path(out)/name
    p.parent.mkdir(parents=True, exist_ok=True)
    p.write_text(text if isinstance(text, str) else json.dumps(text), encoding='utf-8')

def llms(books):
    "The site in a page for language models: https://llmstxt.org"
    lines = ['# salt_identification', '', '> ' + opening(read(NBS/'index.ipynb'))[1], '']
    for caption, paths in books:
        lines += [f'## {caption}', ''] + [f'- [{t}]({p.relative_to(ROOT).with_suffix(".html").as_posix()}): {s}'
            for p in paths for t, s in [opening(read(p))]] + ['']
    return '\n'.join(lines)

def full_text(paths):
    "Prose and code of all notebooks, without outputs"
    parts = []
    for p in paths:
        cells = [c for c in read(p)['cells'] if 'hide' not in directives(c)]
        parts += [source(c) if c['cell_type'] == 'markdown' else f'```python\n{code(c)}\n```' for c in cells
            if code(c).strip()]
    return '\n\n'.join(parts) + '\n'

def main(out):
    out = Path(out)
    if out.exists() and any(out.iterdir()) and not (out/'extra').is_dir():
        raise SystemExit(f'{out} was not made here, and would be emptied; name another folder')
    shutil.rmtree(out, ignore_errors=True)
    learn_names()
    books = [*tutorials(), *library()]
    pages = {p.relative_to(ROOT).as_posix() for p in [NBS/'index.ipynb', *books]} | {p for p in PAGES
        if (ROOT/p).exists()}
    for p in books: write(out, p.relative_to(ROOT).as_posix(), bridge(p, pages))
    for p in PAGES:
        if (ROOT/p).exists(): write(out, p, link_names(relink((ROOT/p).read_text(encoding='utf-8'), p, pages)))
    front = bridge(NBS/'index.ipynb', pages)
    for c in front['cells']: c['source'] = c['source'] if c['cell_type'] == 'code' else at_root(c['source'])
    name = lambda p: '/' + p.relative_to(ROOT).with_suffix('').as_posix()
    sections = [('tutorials', 'Tutorials', 'From the first dozen lines to tiles of your own.',
        list(map(name, tutorials()))),
        ('library', 'The library', 'One page a module, in the order in which a tile passes through them.',
        list(map(name, library()))),
        ('more', 'Results and more', 'Every number that is claimed, how to take part, and what has changed.',
        ['/' + p.removesuffix('.md') for p in PAGES if (ROOT/p).exists()])]
    for file, title, about, docs in sections:
        if docs: write(out, f'{file}.md', section(title, about, docs))
    contents = '```{toctree}\n:hidden:\n\n' + '\n'.join(s[0] for s in sections if s[3]) + '\n```\n'
    front['cells'].append(dict(cell_type='markdown', id='contents', metadata={}, source=contents))
    write(out, 'index.ipynb', front)
    write(out, 'extra/llms.txt', llms([('Tutorials', tutorials()), ('The library', library())]))
    write(out, 'extra/llms-full.txt', full_text([NBS/'index.ipynb', *books]))
    write(out, 'extra/public_names.json', _everywhere)
    for f in (ROOT/'docs'/'conf.py', ROOT/'settings.ini'): shutil.copy(f, out)
    for name in ('static', 'docs/images'): shutil.copytree(ROOT/'docs'/Path(name).name, out/name)
    return out

if __name__ == '__main__': main(sys.argv[1])
