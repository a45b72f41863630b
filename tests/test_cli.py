"What goes wrong on the command line: one clear line, exit code 2, nothing half-written, no traceback"
import errno, json, os, shutil, subprocess, sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from conftest import TRAIN

def refused(result, *words):
    "The command said `words` in one line, and nothing else"
    code, out, err = result
    assert (code, out) == (2, ''), (code, out, err)
    line = err.strip().splitlines()[-1]
    assert line.startswith('saltid: ') and 'Traceback' not in err
    for w in words: assert w in line, f'{w!r} not in {line!r}'

def first(path): return sorted(path.iterdir())[0]

# -- surveys

def spoil_empty(s): shutil.rmtree(s); s.mkdir(); return 'holds no tiles'
def spoil_no_labels(s):
    shutil.rmtree(s/'train'); (s/'train.csv').unlink(); (s/'depths.csv').unlink(); return 'no labelled tiles'
def spoil_no_image(s):
    f = first(s/'train'/'images'); f.write_bytes(b'no image'); return f.stem, 'is no image', '--skip-bad'
def spoil_cut_image(s): f = first(s/'train'/'images'); f.write_bytes(f.read_bytes()[:300]); return f.stem, 'cut short'
def spoil_size(s): f = first(s/'train'/'images'); Image.open(f).resize((50,48)).save(f); return f.stem, '48x50, expected 48x48'
def spoil_mode(s): f = first(s/'train'/'images'); Image.open(f).convert('L').save(f); return f.stem, 'has mode L, the rest RGB'
def spoil_mask_size(s):
    f = first(s/'train'/'masks'); Image.open(f).resize((50,48)).save(f); return f.stem, '48x50, expected 48x48'
def spoil_no_mask(s): f = first(s/'train'/'masks'); f.unlink(); return f.stem, 'has no mask'
def spoil_mask_alone(s): f = first(s/'train'/'images'); f.unlink(); return f.stem, 'has no image'
def spoil_zip(s):
    shutil.make_archive(s/'train', 'zip', s/'train'); shutil.rmtree(s/'train')
    z = s/'train.zip'; z.write_bytes(z.read_bytes()[:20_000]); return 'train.zip', 'zip'
def spoil_flat(s):
    for f in (s/'train'/'images').iterdir(): Image.fromarray(np.full((48,48,3), 90, np.uint8)).save(f)
    return 'is flat'
def spoil_header(s): (s/'train.csv').write_text('\n'.join((s/'train.csv').read_text().splitlines()[1:])); return 'train.csv', 'the header must be'
def spoil_doubled(s): t = (s/'train.csv').read_text(); (s/'train.csv').write_text(t + t.splitlines()[1] + '\n'); return 'train.csv', 'more than once'
def spoil_unknown(s): (s/'train.csv').write_text((s/'train.csv').read_text() + 'zzz,\n'); return 'zzz', 'has no image'
def spoil_depth(s): t = (s/'depths.csv').read_text().splitlines(); (s/'depths.csv').write_text('\n'.join(t[:1] + t[2:]) + '\n'); return 'depths.csv', 'lacks tile'
def spoil_rle(s):
    shutil.rmtree(s/'train'/'masks')
    df = pd.read_csv(s/'train.csv', keep_default_na=False)
    df.loc[3, 'rle_mask'] = '5 2 x'; df.to_csv(s/'train.csv', index=False)
    return df.loc[3, 'id'], "'x' is no integer"

SPOILERS = [v for k, v in list(globals().items()) if k.startswith('spoil_')]

@pytest.mark.parametrize('spoil', SPOILERS, ids=lambda f: f.__name__[6:])
def test_bad_survey(saltid, survey, tmp_path, spoil):
    said = spoil(survey)
    refused(saltid('train', survey, '--out', tmp_path/'out', *TRAIN), *([said] if isinstance(said, str) else said))
    assert not (tmp_path/'out').exists()

def test_missing_survey(saltid, tmp_path):
    for cmd in (['train', tmp_path/'none', '--out', tmp_path/'out'], ['audit', tmp_path/'none']):
        refused(saltid(*cmd), str(tmp_path/'none'), 'is missing; check the path')
    (tmp_path/'file').write_text('x')
    refused(saltid('audit', tmp_path/'file'), 'is a file, expected a folder')

@pytest.mark.parametrize('change', [lambda t: t.replace('\n', '\r\n'), lambda t: '\ufeff' + t,
    lambda t: '\n'.join(','.join(f'"{w}"' for w in l.split(',')) for l in t.splitlines()) + '\n'],
    ids=['windows', 'bom', 'quotes'])
def test_accepted_tables(saltid, survey, tmp_path, change):
    for n in ('train.csv', 'depths.csv', 'sample_submission.csv'):
        (survey/n).write_text(change((survey/n).read_text()), encoding='utf-8', newline='')
    assert saltid('train', survey, '--out', tmp_path/'out', *TRAIN)[0] == 0

def test_skip_bad(saltid, survey, tmp_path):
    bad = [spoil_no_image(survey)[0]]
    files = sorted((survey/'train'/'images').iterdir())
    files[4].write_bytes(files[4].read_bytes()[:200]); (survey/'train'/'masks'/files[9].name).unlink()
    code, out, err = saltid('train', survey, '--out', tmp_path/'out', '--skip-bad', *TRAIN)
    assert code == 0
    left = [l for l in err.splitlines() if l.startswith('left out: ')]
    assert len(left) == 3 and all(any(i in l for l in left) for i in (*bad, files[4].stem, files[9].stem))

def test_skip_bad_predicts_every_row(saltid, survey, run, tmp_path):
    f = first(survey/'test'/'images'); f.write_bytes(b'x')
    refused(saltid('predict', run, survey, '--out', tmp_path/'s.csv', '--device', 'cpu', '--quiet'), f.stem,
        'is no image')
    assert not (tmp_path/'s.csv').exists()
    assert saltid('predict', run, survey, '--out', tmp_path/'s.csv', '--skip-bad', '--device', 'cpu', '--quiet')[0] == 0
    df = pd.read_csv(tmp_path/'s.csv', keep_default_na=False).set_index('id')
    assert len(df) == 8 and df.loc[f.stem, 'rle_mask'] == ''

# -- runs and weights

def test_bad_runs(saltid, run, survey, tmp_path):
    predict = lambda r: saltid('predict', r, survey, '--out', tmp_path/'s.csv', '--device', 'cpu', '--quiet')
    refused(predict(tmp_path/'none'), 'no run at', 'train first')
    config = json.loads((run/'config.json').read_text())
    def with_config(**kw): (run/'config.json').write_text(json.dumps(config | kw))
    with_config(version='7.0.0'); refused(predict(run), 'was made by version 7.0.0')
    with_config(net=dict(kind='Unet', config=dict(encoder='slim16')))
    refused(predict(run), 'do not fit its config.json')
    with_config(net=dict(kind='custom', config={})); refused(predict(run), 'pass it as net=')
    (run/'config.json').write_text('{"version"'); refused(predict(run), 'was cut short')
    with_config(); model = (run/'model.safetensors').read_bytes()
    (run/'model.safetensors').write_bytes(model[:len(model)//2]); refused(predict(run), 'cut short')
    (run/'model.safetensors').unlink(); refused(predict(run), 'saltid resume')
    (run/'last.safetensors').write_bytes(b'1234')
    refused(saltid('resume', run, '--device', 'cpu', '--quiet'), 'cut short')
    assert not (tmp_path/'s.csv').exists()

def test_resume_another_net(saltid, run):
    config = json.loads((run/'config.json').read_text())
    (run/'config.json').write_text(json.dumps(config | dict(net=dict(kind='Unet', config=dict(encoder='slim16')))))
    from salt_identification.training import read_state, write_state
    tensors, numbers = read_state(run/'last.safetensors')
    write_state(run/'last.safetensors', tensors, numbers | dict(finished=False))
    refused(saltid('resume', run, '--device', 'cpu', '--quiet'), 'does not fit')

def test_bad_weights(saltid, small, tmp_path):
    import torch
    from safetensors.torch import save_file
    save_file({'conv1.weight': torch.ones(2)}, tmp_path/'w.safetensors'); (tmp_path/'w.pth').write_bytes(b'rubbish')
    train = lambda w: saltid('train', small, '--out', tmp_path/'out', *TRAIN[:4], '--net', 'resnet18',
        '--device', 'cpu', '--weights', w)
    refused(train(tmp_path/'w.safetensors'), 'w.safetensors do not fit ResNetEncoder')
    refused(train(tmp_path/'w.pth'), 'cannot be read')
    refused(train(tmp_path/'none.pth'), 'are missing; check the path')
    assert not (tmp_path/'out').exists()

# -- numbers out of range, machines, disks

@pytest.mark.parametrize('args,words', [(('--minutes', '0'), 'minutes is 0.0, expected'),
    (('--minutes', 'nan'), 'minutes is nan'), (('--fold', '5'), 'fold is 5, expected 0 to 4'),
    (('--fold', '-1'), 'fold is -1'),
    (('--n-folds', '1'), 'n_folds is 1'), (('--n-folds', '900'), 'n_folds is 900'), (('--folds', '1'), 'folds is 1'),
    (('--bs', '0'), 'bs is 0'), (('--lr', '-1'), 'lr is -1.0'), (('--n-in', '0'), 'n_in is 0'),
    (('--ema', '2'), 'ema is 2.0'),
    (('--loss', 'mse'), "loss 'mse' is not known"), (('--net', 'resnet35'), 'encoder resnet35 is not known'), (('--attention', 'se'), "attention is 'se'"), (('--precision', 'int8'), "precision is 'int8'"), (('--precision', 'fp16', '--device', 'cpu'), 'needs a GPU'),
    (('--device', 'cuda:99'), 'device cuda:99 is not there'), (('--steps', '-3'), 'steps is -3'),
    (('--epochs', '-3'), 'epochs is -3')])
def test_out_of_range(saltid, small, tmp_path, args, words):
    refused(saltid('train', small, '--out', tmp_path/'out', *args), words)
    assert not (tmp_path/'out').exists()

@pytest.mark.parametrize('args,words', [(('--threshold', '1.2'), 'threshold is 1.2, expected 0 to 1'),
    (('--min-area', '-4'), 'min_area is -4'), (('--tta', 'spin'), "tta is 'spin'"), (('--bs', '0'), 'bs is 0'),
    (('--holes', '-1'), 'holes is -1')])
def test_predict_out_of_range(saltid, small, trained, tmp_path, args, words):
    refused(saltid('predict', trained, small, '--out', tmp_path/'s.csv', '--masks', tmp_path/'m', '--device',
        'cpu', *args), words)
    assert not (tmp_path/'s.csv').exists() and not (tmp_path/'m').exists()

@pytest.mark.parametrize('args,words', [(('--maps-type', 'int8'), "maps_type is 'int8'"), (('--maps', '{m}/maps'), "in each other's way"), (('--maps', '{s}'), 'is a file, expected a folder'), (('--out', '{d}'), 'is a folder, expected a file')])
def test_outputs_that_cannot_be(saltid, small, trained, tmp_path, args, words):
    (tmp_path/'file').write_text('mine'); (tmp_path/'dir').mkdir(); (tmp_path/'dir'/'mine').write_text('mine')
    names = dict(m=tmp_path/'m', s=tmp_path/'file', d=tmp_path/'dir')
    refused(saltid('predict', trained, small, '--masks', tmp_path/'m', '--overwrite', '--device', 'cpu',
        '--quiet', *(a.format(**names) for a in args)), words)
    assert sorted(p.name for p in tmp_path.iterdir()) == ['dir', 'file']

def test_nothing_is_overwritten(saltid, small, run, tmp_path):
    was = {p: p.read_bytes() for p in run.iterdir() if p.is_file()}
    refused(saltid('train', small, '--out', run, *TRAIN), 'exists; pass --overwrite')
    (tmp_path/'s.csv').write_text('mine')
    refused(saltid('predict', run, small, '--out', tmp_path/'s.csv'), 'exists; pass --overwrite')
    refused(saltid('synth', small), 'exists; pass --overwrite')
    refused(saltid('demo', '--out', run), 'exists; pass --overwrite')
    assert (tmp_path/'s.csv').read_text() == 'mine' and {p: p.read_bytes() for p in was} == was

def test_full_disk(saltid, small, trained, tmp_path, monkeypatch):
    def full(*args, **kw): raise OSError(errno.ENOSPC, 'No space left on device')
    monkeypatch.setattr(Path, 'write_bytes', full)
    refused(saltid('train', small, '--out', tmp_path/'out', *TRAIN), 'the disk is full; free some space')
    assert not list((tmp_path/'out').glob('.*'))
    monkeypatch.setattr(pd.DataFrame, 'to_csv', full)
    refused(saltid('predict', trained, small, '--out', tmp_path/'s.csv', '--device', 'cpu', '--quiet'),
        'the disk is full')
    assert not list(tmp_path.glob('*.csv*')) and not list(tmp_path.glob('.s*'))

def test_full_disk_maps(saltid, small, trained, tmp_path, monkeypatch):
    "The room for maps is looked at: a file mapped into memory on a full disk would end the process by a signal"
    monkeypatch.setattr(shutil, 'disk_usage', lambda p: shutil._ntuple_diskusage(10**9, 10**9, 1000))
    refused(saltid('predict', trained, small, '--maps', tmp_path/'maps', '--masks', tmp_path/'m', '--out',
        tmp_path/'s.csv', '--device', 'cpu', '--quiet'), 'needs 0 MB and the disk has 0')
    assert not list(tmp_path.iterdir())

@pytest.mark.parametrize('what', ['to_csv', 'save', 'write_json'])
def test_all_outputs_or_none(saltid, small, trained, tmp_path, monkeypatch, what):
    "A disk that fills up at any of three places: nothing is left, and what was there before stays"
    import salt_identification.tta as tta
    def full(*args, **kw): raise OSError(errno.ENOSPC, 'No space left on device')
    monkeypatch.setattr(dict(to_csv=pd.DataFrame, save=Image.Image, write_json=tta)[what], what, full)
    (tmp_path/'s.csv').write_text('mine')
    refused(saltid('predict', trained, small, '--maps', tmp_path/'maps', '--masks', tmp_path/'m', '--out',
        tmp_path/'s.csv', '--overwrite', '--device', 'cpu', '--quiet'), 'the disk is full')
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [('s.csv', 'mine')]

@pytest.mark.skipif(not hasattr(os, 'fork'), reason='needs fork')
def test_no_permission(small, trained, tmp_path):
    "As root the test drops its privileges in a child"
    locked = tmp_path/'locked'; locked.mkdir(); locked.chmod(0o555)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            from salt_identification.files import SaltError, new_file
            if os.geteuid() == 0:
                for p in [tmp_path, *tmp_path.parents]:
                    if p.owner() == 'root' and len(p.parts) > 2: p.chmod(p.stat().st_mode | 0o055)
                os.setgid(65534); os.setuid(65534)
            try:
                with new_file(locked/'s.csv') as f: f.write_text('x')
            except SaltError as e: code = 0 if 'no permission; choose another folder' in str(e) else 3
        finally: os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

# -- scoring

@pytest.mark.parametrize('text,words', [('id,rle_mask\n{0},1 2\n{0},3 1\n', 'more than once'),
    ('id,rle_mask\n{0},1 2\n', 'lacks tile'), ('id,rle_mask\n{all}zz,1 2\n', 'has tile zz'),
    ('name,mask\n', "has no column 'id'"), ('', 'is empty'),
    ('id,rle_mask\n{bad}', 'has a length below 1')], ids=['doubled', 'missing', 'unknown', 'header', 'empty', 'runs'])
def test_bad_submission(saltid, small, tmp_path, text, words):
    ids = pd.read_csv(small/'truth.csv')['id'].tolist()
    rows = ''.join(f'{i},\n' for i in ids)
    (tmp_path/'s.csv').write_text(text.format(ids[0], all=rows, bad=rows.replace(f'{ids[3]},', f'{ids[3]},7 0')))
    refused(saltid('score', tmp_path/'s.csv', small/'truth.csv', '--size', 48, 48), words)

def test_nan_is_empty(saltid, small, tmp_path):
    ids = pd.read_csv(small/'truth.csv')['id'].tolist()
    (tmp_path/'s.csv').write_text('id,rle_mask\n' + ''.join(f'{i},\n' for i in ids))
    code, out, err = saltid('score', tmp_path/'s.csv', small/'truth.csv', '--size', 48, 48, '--json')
    truth = pd.read_csv(small/'truth.csv', keep_default_na=False)['rle_mask']
    assert code == 0 and json.loads(out)['score'] == pytest.approx((truth == '').mean())

# -- words that a newcomer types

def test_no_command(saltid):
    code, out, err = saltid()
    assert (code, out) == (2,
        '') and err.startswith('usage: saltid '
        'COMMAND') and err.splitlines()[-1] == 'saltid: no command was given; begin with: saltid demo'

@pytest.mark.parametrize('word,line',
    [('pridict', 'did you mean: saltid predict'), ('Train', 'did you mean: saltid train'),
    ('xyz', 'saltid --help lists them')])
def test_no_such_command(saltid, word, line): refused(saltid(word), f'{word} is no command', line)

def test_survey_and_run_mixed_up(saltid, small, trained, tmp_path):
    refused(saltid('predict', small, trained, '--out', tmp_path/'s.csv'), 'is a run; the survey comes last')

@pytest.mark.parametrize('name', ['demo', 'audit', 'synth', 'train', 'predict', 'resume', 'score', 'runs'])
def test_help(capsys, name):
    from salt_identification.cli import main
    with pytest.raises(SystemExit) as e: main([name, '--help'])
    out = capsys.readouterr().out
    assert e.value.code == 0 and out.startswith(f'usage: saltid {name}') and out.rstrip().splitlines()[
        -1].startswith(f'example: saltid {name}')
    assert 'None' not in out and 'False' not in out and '==SUPPRESS==' not in out

def test_errors_are_no_json(saltid, small, trained, tmp_path):
    for line in (['train', small, '--out', trained], ['predict', trained, small], ['score', 'none', 'none'],
        ['runs', tmp_path], ['resume', tmp_path], ['audit', tmp_path], ['synth', small]):
        refused(saltid(*line, '--json'), '')

# -- pipes and other places

def test_pipes_are_plain(small, trained, tmp_path):
    p = subprocess.run([sys.executable, '-m', 'salt_identification', 'predict', trained, small, '--out',
        tmp_path/'s.csv', '--json', '--device', 'cpu'], capture_output=True, text=True, cwd=tmp_path)
    assert p.returncode == 0 and json.loads(p.stdout)['tiles'] == 8
    assert '\r' not in p.stderr and '\x1b' not in p.stderr and '█' not in p.stderr

def test_a_path_with_spaces(saltid, survey, tmp_path):
    here = tmp_path/'a path with spaces'; here.mkdir(); survey.rename(here/'my data')
    assert saltid('train', here/'my data', '--out', here/'my run', *TRAIN)[0] == 0
    assert saltid('predict', here/'my run', here/'my data', '--out', here/'my submission.csv', '--masks',
        here/'my masks', '--device', 'cpu', '--quiet')[0] == 0
    assert len(list((here/'my masks').iterdir())) == 8

def test_maps(saltid, small, trained, tmp_path):
    "Maps beside the other outputs are what `predict_survey` writes, and the other outputs are as without them"
    from salt_identification.learner import load_run
    from salt_identification.tta import open_maps, predict_survey
    predict = lambda *args: saltid('predict', trained, small, *args, '--device', 'cpu', '--quiet', '--json')
    code, out, err = predict('--maps', tmp_path/'maps', '--out', tmp_path/'s.csv', '--masks', tmp_path/'m')
    assert code == 0 and json.loads(out)['maps'] == str(tmp_path/'maps')
    predict_survey(load_run(trained, device='cpu'), small, tmp_path/'alone')
    for n in ('mean.npy', 'std.npy', 'ids.json'):
        assert (tmp_path/'maps'/n).read_bytes() == (tmp_path/'alone'/n).read_bytes()
    assert predict('--out',
        tmp_path/'t.csv')[0] == 0 and (tmp_path/'s.csv').read_bytes() == (tmp_path/'t.csv').read_bytes()
    refused(predict('--maps', tmp_path/'maps'), 'exists; pass --overwrite')
    assert predict('--maps', tmp_path/'maps', '--maps-type', 'float16', '--overwrite')[0] == 0
    assert open_maps(tmp_path/'maps').mean.dtype == np.float16

def test_folds(saltid, small, tmp_path):
    assert saltid('train', small, '--out', tmp_path/'runs', '--folds', 2, *TRAIN)[0] == 0
    assert saltid('predict', tmp_path/'runs', small, '--out', tmp_path/'s.csv', '--device', 'cpu', '--quiet')[0] == 0
    assert len(json.loads(saltid('runs', tmp_path/'runs', '--json')[1])) == 2

def test_several_classes(saltid, tmp_path):
    from salt_identification.synth import synth_survey
    s = synth_survey(tmp_path/'survey', n=24, n_test=4, size=48, n_classes=3).path
    assert saltid('train', s, '--out', tmp_path/'run', *TRAIN)[0] == 0
    refused(saltid('predict', tmp_path/'run', s, '--out', tmp_path/'s.csv', '--device', 'cpu', '--quiet'),
        'write masks instead (--masks DIR)')
    assert saltid('predict', tmp_path/'run', s, '--masks', tmp_path/'m', '--device', 'cpu', '--quiet')[0] == 0
    assert all(np.asarray(Image.open(f)).max() <= 2 for f in (tmp_path/'m').iterdir())
