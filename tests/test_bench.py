"The benchmark, at sizes that show nothing but that it works"
import csv, json, subprocess, sys
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
    assert bench.met('import_s', .2) and not bench.met('import_s', .4) and bench.met('rle_vs_pycocotools',
        1.1) and bench.met('amx', True) is None
    assert bench.aims(True)['infer_roofline_share'] == .5 and bench.aims(False)['infer_roofline_share'] == .75

def test_quick_parts_write_their_keys(tmp_path):
    got = bench.run(['start', 'rle', 'metric', 'score'], bench.SMALL, tmp_path/'latest.json', lambda *a, **k: None)
    saved = json.loads((tmp_path/'latest.json').read_text())
    assert {'import_s', 'help_s', 'rle_vs_pycocotools', 'metric_vs_loop', 'score_kept',
        'amx'} <= set(saved) and saved['details']['machine']['cores'] >= 1
    text = bench.section(got)
    assert '`metric_vs_loop`' in text and text.startswith('## Speed (')

def test_a_section_replaces_one_of_its_title(tmp_path):
    p = tmp_path/'R.md'
    p.write_text('# Results\n\nHello.\n\n## Where\n\nkept\n\n## Speed (1)\n\ngone\n\n| 1 |\n\n- `rle` failed: no room\n\n- by hand\n\n## Speed (0)\n')
    bench.write_section('## Speed (1)\n\nnew\n\n| 2 |\n', p)
    assert p.read_text() == ('# Results\n\nHello.\n\n## Where\n\nkept\n\n'
        '## Speed (1)\n\nnew\n\n| 2 |\n\n- by hand\n\n## Speed (0)\n')
    bench.write_section('## Speed (2)\n\nnewer\n', p)
    assert p.read_text().startswith('# Results\n\nHello.\n\n## Where\n\nkept\n\n## Speed (2)\n\nnewer\n\n## Speed (1)\n')
    p.write_text('# Results\n\n## Old\n\nkept\n')
    bench.write_section('## Speed (1)\n\nnew\n', p)
    assert p.read_text() == '# Results\n\n## Speed (1)\n\nnew\n\n## Old\n\nkept\n'

def test_every_key_of_the_aims_has_a_part():
    assert sorted(k for keys in bench.KEYS.values()
        for k in keys) == sorted(bench.AIMS) and list(bench.KEYS) == list(bench.PARTS)

def test_a_faster_smaller_net_is_fair_only_if_the_score_is_kept():
    got = dict(amx=False, train_vs_smp_best=5., predict_vs_smp_ttach=2., metric_vs_loop=200.)
    said = lambda kept: [bench.verdict(k, got | dict(score_kept=kept))
        for k in ('train_vs_smp_best', 'predict_vs_smp_ttach', 'metric_vs_loop')]
    assert said(.01) == ['met', '**missed**', 'met'] and said(None) == said(-.01) == ['met, if the score is kept',
        '**missed**', 'met']

def test_a_part_that_fails_leaves_its_keys_empty_and_the_others_go_on(tmp_path, monkeypatch):
    def fails(*_): raise RuntimeError('no room')
    monkeypatch.setitem(bench.PARTS, 'rle', fails)
    got = bench.run(['rle', 'score'], bench.SMALL, tmp_path/'out.json', lambda *a, **k: None)
    assert got['rle_vs_pycocotools'] is None and got['details']['rle'] == dict(failed='RuntimeError: '
        'no room') and 'score' in got['details']
    text = bench.section(got)
    assert '`rle_vs_pycocotools` | failed |' in text and '- `rle` failed: RuntimeError: no room' in text

@pytest.mark.parametrize('argv', [['--only', 'score'], ['--small'], []])
def test_only_a_whole_run_replaces_the_file(tmp_path, monkeypatch, capsys, argv):
    monkeypatch.setattr(bench, 'HERE', tmp_path); monkeypatch.setattr(sys, 'argv', ['bench.py', *argv])
    monkeypatch.setattr(bench.tempfile, 'tempdir', str(tmp_path))
    for name in bench.PARTS:
        monkeypatch.setitem(bench.PARTS, name, lambda *_, name=name: (dict.fromkeys(bench.KEYS[name]), {}))
    (tmp_path/'latest.json').write_text('old')
    bench.main()
    assert ((tmp_path/'latest.json').read_text() == 'old') == bool(argv)
    named = Path(capsys.readouterr().out.split('written to ')[-1].strip())
    assert 'score_kept' in json.loads(named.read_text()) and (named == tmp_path/'latest.json') == (not argv)

def test_a_part_of_a_run_gets_no_section(monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['bench.py', '--only', 'score', '--write'])
    with pytest.raises(SystemExit): bench.main()

def test_calls_that_were_made_once_are_said():
    assert bench.singles(dict(train=dict(seconds=dict(ours=bench.spread([1., 2.]), fastai=bench.spread([3.]))))) == ['fastai of train']

def test_what_workers_say_is_taken_apart():
    times, more = bench.apart(dict(ours=[dict(seconds=1., precision='bf16'), dict(seconds=2., precision='float32')],
        peer=[dict(seconds=3., precision='bf16')]))
    assert times == dict(ours=[1., 2.], peer=[3.]) and more == dict(ours=dict(precision=['bf16', 'float32']),
        peer=dict(precision='bf16'))

def test_a_worker_is_given_up():
    with pytest.raises(RuntimeError, match='roofline took more than 0.01 seconds'):
        bench.worker('roofline', 1, 8, timeout=.01)

@pytest.mark.skipif(not Path('/proc/self/status').exists(), reason='needs /proc')
def test_the_memory_of_a_child_is_its_own():
    child = f"import sys; sys.path.insert(0, {str(ROOT/'benchmarks')!r}); import machine; print(machine.peak_mib())"
    parent = f"import subprocess, sys; big = b'1'*(300 << 20); subprocess.run([sys.executable, '-c', {child!r}], check=True)"
    assert 1 < float(subprocess.run([sys.executable, '-c', parent], check=True, capture_output=True,
        text=True).stdout) < 200

def test_what_is_measured_is_not_measured_again(tmp_path):
    import bench_full
    calls = []
    for minutes in (10, 10, 20, 20):
        assert bench_full.once(tmp_path, 'x', lambda: calls.append(minutes) or dict(a=1), minutes=minutes,
            data='here') == dict(a=1)
    assert calls == [10, 20]

def test_scores_are_compared_tile_by_tile():
    import bench_full
    found = lambda ids, scores: dict(ids=ids, groups=list(range(len(ids))), scores=scores)
    pairs = {('ours', 0): found(['a', 'b', 'c'], [1., .5, .5]), ('smp_best', 0): found(['a', 'b', 'c'], [.9, .4, .4])}
    d, low, high = bench_full.compare(pairs, [0])
    assert abs(d - .1) < 1e-9 and abs(low - .1) < 1e-9 and abs(high - .1) < 1e-9
    with pytest.raises(AssertionError, match='other tiles'):
        bench_full.compare(pairs | {('smp_best', 0): found(['a', 'b', 'd'], [1., 1., 1.])}, [0])

def test_the_hand_loop_stops_between_batches_and_predicts_with_its_mean():
    pytest.importorskip('segmentation_models_pytorch')
    np, torch = pytest.importorskip('numpy'), pytest.importorskip('torch')
    import peers
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (8,101,101), np.uint8), rng.random((8,101,101)) > .5
    loop = peers.HandLoop(x, y, bs=2, ema=.5)
    loop.train(stop=lambda: loop.done == 3)
    assert loop.done == 3
    a, b = loop.mean.module.state_dict(), loop.net.state_dict()
    assert loop.mean.n_averaged == 3 and not torch.equal(a['encoder.conv1.weight'],
        b['encoder.conv1.weight']) and not torch.equal(a['encoder.bn1.running_mean'], b['encoder.bn1.running_mean'])
    assert loop.probs(x[:2], flip=True).shape == (2,101,101)

def test_bounds_count_convolutions():
    torch = pytest.importorskip('torch')
    net = torch.nn.Sequential(torch.nn.Conv2d(2, 4, 3, padding=1), torch.nn.ReLU())
    low, low_train, flop = bench.bounds(net, torch.zeros(1, 2, 8, 8), torch.float32, 1e3, 1e12)
    assert flop == 2*64*4*2*9 and abs(low - flop/1e3) < 1e-6 and abs(low_train - 2*flop/1e3) < 1e-6

def test_bounds_count_bytes():
    nn = pytest.importorskip('torch').nn
    import torch
    net = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.Dropout2d(.5), nn.Identity(), nn.MaxPool2d(2))
    low, low_train, _ = bench.bounds(net, torch.zeros(1, 2, 8, 8), torch.bfloat16, 1e30, 1.)
    conv, relu, pool = 2*(2*64 + 4*64 + 2*4*9 + 4), 2*(2*4*64), 2*(4*64 + 4*16)
    assert low == conv + relu + pool and low_train == 2*conv + 2.5*relu + 2*pool

# --- ingredients -------------------------------------------------------------------------------------------------------

@pytest.fixture
def ablate(): pytest.importorskip('torch'); import ablate; return ablate

def test_one_thing_changes_at_a_time(ablate):
    for track, at in dict(weights=.33, random=.5).items():
        found = ablate.variants(track)
        switches = {n: float(a['loss'].partition('@')[2]) for n, a in found.items() if '>' in a['loss']}
        assert switches.pop('Lovasz from 2/3') == .67 and set(switches.values()) == {
            at} and 'one-sided Lovasz' in switches and 'symmetric Lovasz' not in found
        assert all('symlovasz' in a['loss'] for n, a in found.items() if '>' in a['loss'] and n != 'one-sided Lovasz')
        same = [n for n, a in found.items() if n != 'base' and ablate.settled(a) == ablate.settled(found['base'])]
        assert not same and ('no scSE' in found) == ('no dropout' in found) == ('encoder at '
            'full rate' in found) == (track == 'weights')

def test_every_name_has_a_folder_of_its_own(ablate, tmp_path):
    names = list(ablate.variants('weights')) + list(ablate.variants('random'))
    assert {ablate.folder_of(tmp_path, 'weights', n, 0).parent for n in names} == {tmp_path}
    assert len({ablate.folder_of(tmp_path, 'weights', n, 0) for n in names}) == len(
        set(names)) and ablate.folder_of(tmp_path, 'weights', 'drop path .2', 1).name == 'weights_drop_path_.2_1'

def test_a_folder_of_ablations_is_for_one_base(ablate, tmp_path, monkeypatch):
    for _ in range(2): ablate.same_base(tmp_path, 'random')
    monkeypatch.setitem(ablate.BASES, 'random', ablate.BASES['random'] | dict(dropout=.5))
    with pytest.raises(SystemExit, match='was begun with another base'): ablate.same_base(tmp_path, 'random')
    ablate.same_base(tmp_path, 'weights')

def test_a_folder_of_ablations_is_for_one_start(ablate, tmp_path):
    given = dict(weights='here/a.pth', net='resnet18')
    (tmp_path/'base_weights.json').write_text(json.dumps(ablate.BASES['weights'])) # as it was noted before
    for start in (given, given | dict(weights='there/a.pth')): ablate.same_base(tmp_path, 'weights', start)
    for other in (given | dict(weights='here/b.pth'), given | dict(net='resnet34')):
        with pytest.raises(SystemExit, match='was begun with another base'): ablate.same_base(tmp_path, 'weights', other)

def test_views_and_snapshots_ask_the_net_at_the_end(ablate, tmp_path, monkeypatch):
    import snapshots, views
    from salt_identification.learner import train_run
    from salt_identification.synth import synth_survey
    survey, run = synth_survey(tmp_path/'s', 30, n_test=1, size=32), tmp_path/'run'
    train_run(survey, run, steps=4, cycles=2, net='slim8', bs=8, precision='float32', quiet=True, device='cpu')
    states, groups = [], []
    def load(*args, state='best', told=views.load_run): states.append(state); return told(*args, state=state)
    def paired(a, b, g=None, told=views.paired_difference): groups.append(g); return told(a, b, g)
    for m in (views, snapshots):
        for name, fn in dict(load_run=load, paired_difference=paired).items(): monkeypatch.setattr(m, name, fn)
    views.gains(run, survey, {'a step back': views.VIEWS['a step back, to 0.94']})
    assert states == ['last'] and len(groups) == 2
    snapshots.compared(run, run, survey)
    assert states[1:4] == [1, 2, 'last'] and all(g is not None for g in groups)

def test_a_table_is_replaced_and_what_is_said_around_it_stays(ablate, tmp_path, monkeypatch):
    page = tmp_path/'ABLATIONS.md'
    page.write_text('# Worth\n\nIn short.\n\n## From random weights\n\nhow\n\nBase (random): 0.5\n\n| a | b |\n|---|---|\n| old | 1 |\n\n'
        '- What was found.\n\n## After\n\n| c |\n')
    monkeypatch.setattr(ablate, 'chart', lambda *a: None)
    monkeypatch.setattr(ablate, 'table', lambda out, track: 'Base (new): 0.6\n\n| a | b |\n|---|---|\n| fresh | 2 |\n')
    for track in ('random', 'weights'): ablate.write(tmp_path, track, 'by hand', page)
    text = page.read_text()
    assert text.count('| fresh | 2 |') == 2 and '| old | 1 |' not in text and '0.5' not in text
    assert '- What was found.\n\n## After\n\n| c |' in text and text.index('## After') < text.index('## With ImageNet weights')

def test_a_line_of_the_table_of_runs_is_written_once(ablate, tmp_path):
    p = tmp_path/'runs.csv'; p.write_text('date,seed\n2026,0\n')
    for _ in range(2): ablate.note(dict(date='2027', seed=0, judge='expected'), p)
    assert list(csv.DictReader(p.open())) == [dict(date='2026', seed='0', judge=''),
        dict(date='2027', seed='0', judge='expected')]

def test_the_table_compares_the_same_tiles_judged_alike(ablate, tmp_path):
    def put(name, ids, **more):
        run = ablate.folder_of(tmp_path, 'weights', name, 0); run.mkdir()
        (run/'judged.json').write_text(json.dumps(dict(track='weights', name=name, seed=0, ids=ids, groups=[0, 1], cut=[.5, 1.], plain=[0., 0.]) | more))
    put('base', ['a', 'b'], judge='expected')
    put('Lovasz from 2/3', ['a', 'b'], judge='expected'); put('an older one', ['a', 'b'])
    assert [r[0] for r in ablate.compared(tmp_path, 'weights')[1]] == ['Lovasz from 2/3']
    put('BCE', ['a', 'c'], judge='expected')
    with pytest.raises(AssertionError, match='BCE, seed 0'): ablate.compared(tmp_path, 'weights')

def test_a_run_is_judged_again_and_not_trained_again(ablate, tmp_path, monkeypatch):
    from salt_identification.synth import synth_survey
    survey, table = synth_survey(tmp_path/'s', 30, n_test=1, size=32), tmp_path/'runs.csv'
    go = lambda: ablate.one(survey, tmp_path, 'random', 'Lovasz from 2/3',
        dict(net='slim8', bs=8, precision='float32'), 0, dict(steps=2), table, 'other folds')
    go()
    run = ablate.folder_of(tmp_path, 'random', 'Lovasz from 2/3', 0)
    first, lines = json.loads((run/'judged.json').read_text()), list(csv.DictReader(table.open()))
    assert first['judge'] == 'expected' and lines[0]['judge'] == 'expected' and lines[0][
        'steps'] == '2' and float(lines[0]['recipe_cut']) == pytest.approx(sum(first['recipe'])/len(first['ids']), abs=1e-4) and json.loads((run/'config.json').read_text())['note'] == 'other folds'
    (run/'judged.json').write_text(json.dumps({k: v for k, v in first.items() if k != 'judge'}))
    monkeypatch.setattr(ablate, 'train_run', None); weights = (run/'model.safetensors').read_bytes()
    go()
    assert json.loads((run/'judged.json').read_text()) == first and (run/'model.safetensors').read_bytes() == weights and list(csv.DictReader(table.open())) == lines
    (run/'judged.json').write_text(json.dumps({k: v for k, v in first.items() if k != 'judge'} | dict(ids=['another'])))
    with pytest.raises(AssertionError, match='held out other tiles'): go()
