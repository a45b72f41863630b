"The benchmark, at sizes that show nothing but that it works"
import json, sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT/'benchmarks'))
import bench, machine

def test_contenders_take_turns():
    said = []
    out = bench.take_turns({n: lambda n=n: said.append(n) or 1. for n in 'ab'}, dict(a=3, b=2), lambda *a, **k: None)
    assert said == list('ababa') and {k: len(v) for k, v in out.items()} == dict(a=3, b=2)

def test_a_ratio_is_of_medians():
    key, spreads = bench.ratio(dict(other=[8., 100., 9.], ours=[3., 2., 3.]), 'other', 'ours')
    assert key == 3 and spreads['other']['largest'] == 100

def test_aims_know_more_and_less():
    assert bench.met('import_s', .2) and not bench.met('import_s', .4) and bench.met('rle_vs_pycocotools', 1.1) and bench.met('amx', True) is None
    assert bench.aims(True)['infer_roofline_share'] == .5 and bench.aims(False)['infer_roofline_share'] == .75

def test_quick_parts_write_their_keys(tmp_path):
    got = bench.run(['start', 'rle', 'metric', 'score'], bench.SMALL, tmp_path/'latest.json', lambda *a, **k: None)
    saved = json.loads((tmp_path/'latest.json').read_text())
    assert {'import_s', 'help_s', 'rle_vs_pycocotools', 'metric_vs_loop', 'score_kept', 'amx'} <= set(saved) and saved['details']['machine']['cores'] >= 1
    text = bench.section(got)
    assert '`metric_vs_loop`' in text and text.startswith('## Speed (')

def test_a_section_replaces_one_of_its_title(tmp_path):
    p = tmp_path/'R.md'; p.write_text('# Results\n\nHello.\n\n## Old\n\nkept\n\n## Speed (1)\n\ngone\n')
    bench.write_section('## Speed (1)\n\nnew\n', p)
    assert p.read_text() == '# Results\n\nHello.\n\n## Speed (1)\n\nnew\n\n## Old\n\nkept\n'

def test_every_key_of_the_aims_has_a_part():
    text = (ROOT/'benchmarks'/'bench.py').read_text()
    for k in bench.AIMS: assert k in text.split('SIZES =')[1] or k.startswith('train_vs') or k.endswith('roofline_share'), k

def test_what_is_measured_is_not_measured_again(tmp_path):
    import bench_full
    calls = []
    for _ in range(2): assert bench_full.once(tmp_path, 'x', lambda: calls.append(1) or dict(a=1)) == dict(a=1)
    assert calls == [1]

def test_bounds_count_convolutions():
    torch = pytest.importorskip('torch')
    net = torch.nn.Sequential(torch.nn.Conv2d(2, 4, 3, padding=1), torch.nn.ReLU())
    low, low_train, flop = bench.bounds(net, torch.zeros(1, 2, 8, 8), torch.float32, 1e3, 1e12)
    assert flop == 2*64*4*2*9 and abs(low - flop/1e3) < 1e-6 and abs(low_train - 2*flop/1e3) < 1e-6
