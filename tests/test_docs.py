"The bridge from notebooks to the site, and the look at the built site, without Sphinx"
import ast, json, sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT/'docs'))
import bridge, check_site

FN = '''def f(
    a, # The first
    b:int=3, # The second
    *rest,
    c='x|y', # The third
    **more # For others
)->list: # Of all
    "Do `a`"
'''

@pytest.fixture(scope='module', autouse=True)
def names(): bridge.learn_names()

def test_a_function_becomes_a_table():
    rows, gives = bridge.parameters(ast.parse(FN).body[0], FN)
    assert rows == [('a', '', '', 'The first'), ('b', 'int', '3', 'The second'), ('*rest', '', '', ''),
        ('c', '', "'x|y'", 'The third'), ('**more', '', '', 'For others')]
    assert gives == ('list', 'Of all')
    assert "`'x\\|y'`" in bridge.table(rows, gives)

def test_an_entry_has_signature_text_and_table():
    e = bridge.entry(ast.parse(FN).body[0], FN, 'salt_identification.rle')
    assert "{py:function} f(a, b=3, *rest, c='x|y', **more)" in e and ':module: salt_identification.rle' in e and 'Do `a`.' in e

def test_a_patched_method_is_its_classes():
    src = '@patch\ndef save(self:SaltLearner, file)->Path: # Where\n    "Save"\n'
    assert '{py:method} SaltLearner.save(file)' in bridge.entries(src, 'salt_identification.learner',
        {'SaltLearner'})[0]
    assert bridge.entries(src.replace('save', '_save'), 'salt_identification.learner', {'SaltLearner'}) == []

def test_public_names_become_links_and_nothing_else():
    link = '{py:obj}`rle_decode <salt_identification.rle.rle_decode>`'
    assert bridge.link_names('See `rle_decode`, `nothing`') == f'See {link}, `nothing`'
    for same in ('## `rle_decode`', '```\n`rle_decode`\n```', '[`rle_decode`](x.md)'):
        assert bridge.link_names(same) == same

def test_a_link_that_leads_nowhere_stops_the_build():
    with pytest.raises(SystemExit, match='gone.md leads nowhere'): bridge.relink('[x](gone.md)', 'README.md', set())
    pages = {'nbs/12_all.ipynb', 'benchmarks/RESULTS.md'}
    assert bridge.relink('[all](nbs/12_all.ipynb)', 'README.md', pages) == '[all](nbs/12_all.ipynb)'
    assert bridge.relink('[12_all](nbs/12_all.ipynb)', 'README.md', pages) == '[12 All](nbs/12_all.ipynb)'
    assert bridge.relink('[RESULTS.md](RESULTS.md#a)', 'benchmarks/ABLATIONS.md', pages) == '[Results](RESULTS.md#a)'
    assert bridge.relink('[the checks](tests/check.py)', 'README.md', set()) == 'the checks (`tests/check.py`)'

def test_a_picture_has_the_text_of_its_cell(tmp_path, monkeypatch):
    monkeypatch.setattr(bridge, 'ROOT', tmp_path)
    def cell(kind, text, **kw): return dict(cell_type=kind, id=text[-1:], metadata={}, source=text, **kw)
    def drawn(text, kind='png'): return cell('code', text, outputs=[dict(output_type='display_data',
        data={f'image/{kind}': '', 'text/plain': 'Figure'})])
    nb = dict(cells=[cell('markdown', 'Why. So it is:\n\n# A heading'), drawn('#| echo: false\n#| fig-alt: A curve\na'),
        drawn('b', 'jpeg'), drawn('#| hide\nc'), cell('code', 'd', outputs=[])])
    (tmp_path/'x.ipynb').write_text(json.dumps(nb))
    made = [c for c in bridge.bridge(tmp_path/'x.ipynb', set())['cells'] if c['cell_type'] == 'code']
    assert [c['metadata']['mystnb']['image']['alt'] for c in made[:2]] == ['A curve', 'So it is']
    assert made[0]['source'] == 'a'
    assert bridge.untold(nb) == ['b']

def test_every_notebook_passes(tmp_path):
    bridge.main(tmp_path/'src')
    made = {p.relative_to(tmp_path/'src').as_posix() for p in (tmp_path/'src').rglob('*.ipynb')}
    assert made == {p.relative_to(ROOT).as_posix() for p in [*bridge.library(), *bridge.tutorials()]} | {'index.ipynb'}
    text = '\n'.join(''.join(c['source']) for p in (tmp_path/'src').rglob('*.ipynb')
        for c in json.loads(p.read_text())['cells'])
    assert '#|' not in text
    missing = [n for n, m in bridge._everywhere.items() if f'}} {n}' not in text]
    assert not missing, missing
    assert '[Run lengths](nbs/00_rle.html)' in (tmp_path/'src'/'extra'/'llms.txt').read_text()

def test_the_look_from_outside_finds_faults(tmp_path):
    (tmp_path/'public_names.json').write_text(json.dumps({'f': 'm'} | {f'n{i}': 'm' for i in range(100)}))
    (tmp_path/'a.html').write_text(''.join(f'<p id="m.n{i}">' for i in range(100)) + '<a href="b.html#x">b</a><a '
        'href="c.html">c</a><img src="p.png"><script src="https://x.org/y.js"></script>')
    (tmp_path/'b.html').write_text('<p id="y">')
    found = list(check_site.faults(tmp_path))
    for word in ('b.html#x has no such anchor', 'c.html leads nowhere', 'p.png has no text',
        'p.png is missing', 'fetched from elsewhere', 'm.f has no entry'): assert any(word in f for f in found), word
    assert len(found) == 6
