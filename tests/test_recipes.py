"Recipes by the command line: several nets side by side, interrupted and gone on with, several classes, refusals"
import json, os, signal, subprocess, sys, time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from salt_identification.files import read_json
from salt_identification.recipes import read_recipe, recipe_names, resume_recipe, run_recipe, track_keys
from salt_identification.submission import read_submission
from salt_identification.synth import synth_survey

MINE = '''minutes = 0.25
[weights]
attention = "scse"
[[weights.plans]]
nets = 1
folds = 3
[random]
net = "slim8"
bs = 8
[[random.plans]]
nets = 2
folds = 3
'''

def saltid(*args, **kw):
    r = subprocess.run([sys.executable, '-W', 'ignore', '-m', 'salt_identification', *map(str, args)],
        capture_output=True, text=True, **kw)
    return r.returncode, r.stdout, r.stderr

@pytest.fixture(scope='module')
def here(tmp_path_factory):
    d = tmp_path_factory.mktemp('recipes with blanks')
    synth_survey(d/'data', 40, seed=2, size=40)
    (d/'my.toml').write_text(MINE)
    return d

def test_recipes_are_sound():
    "Every recipe that comes along reads, and ends in a plan that needs no time"
    for name in recipe_names():
        for track in read_recipe(name).tracks.values():
            assert track['plans'][-1]['passes'] == 0
            assert set(track) - {'plans'} <= set(track_keys())

def test_command(here):
    "Two nets side by side, then a submission; the folder predicts like a run"
    code, out, err = saltid('train', here/'data', '--recipe', here/'my.toml', '--weights', 'none', '--out',
        here/'out', '--device', 'cpu', '--json')
    assert code == 0, err
    found, config = json.loads(out), read_json(here/'out'/'recipe.json')
    assert config['plan'] == dict(nets=2, folds=3,
        passes=0) and 0 <= found['low'] <= found['score'] <= found['high'] <= 1
    assert [(here/'out'/f'fold{i}'/'model.safetensors').exists() for i in range(3)] == [True, True, False]
    ids, masks = read_submission(here/'out'/'submission.csv', (40,40))
    assert len(ids) == 10 and masks.shape == (10,40,40)
    assert [read_json(here/'out'/f'fold{i}'/'config.json')['data']['fold'] for i in (0, 1)] == [0, 1]
    assert saltid('predict', here/'out', here/'data', '--out', here/'again.csv', '--device', 'cpu', '--quiet')[0] == 0
    assert (here/'again.csv').read_text() == (here/'out'/'submission.csv').read_text()

def test_interrupt(here):
    "Ctrl-C in the middle of two trainings; the same command goes on and ends"
    line = [sys.executable, '-W', 'ignore', '-m', 'salt_identification', 'train', here/'data', '--recipe',
        here/'my.toml', '--weights', 'none', '--out', here/'cut', '--device', 'cpu']
    p = subprocess.Popen(list(map(str, line)), stderr=subprocess.PIPE, text=True, start_new_session=True)
    end = time.time() + 60
    while not list((here/'cut').glob('fold*/config.json')) and time.time() < end: time.sleep(.1)
    os.killpg(p.pid, signal.SIGINT)
    _, err = p.communicate(timeout=30)
    assert p.returncode == 130 and 'saltid resume' in err, err
    code, out, err = saltid('resume', here/'cut', '--device', 'cpu', '--quiet')
    assert code == 0 and 'submission.csv' in out, err
    assert len(read_submission(here/'cut'/'submission.csv', (40,40))[0]) == 10

def test_other_settings_are_refused(here):
    code, out, err = saltid('train', here/'data', '--recipe', here/'my.toml', '--weights', 'none', '--out',
        here/'out', '--seed', 4)
    assert code == 2 and 'was begun with another seed; go on as it was begun' in err

@pytest.mark.parametrize('args, words',
    [(('--recipe', 'fast'), 'recipe fast is not there; choose quick, hour, evening'),
    (('--recipe', 'quick', '--lr', 1), 'a recipe decides on --lr itself'),
    (('--recipe', 'quick', '--minutes', 0), 'minutes is 0.0, expected 0.1'),
    (('--recipe', 'quick', '--weights', 'none.pth'), 'none.pth are missing')])
def test_refusals(here, args, words):
    code, out, err = saltid('train', here/'data', '--out', here/'no', *args)
    assert code == 2 and words in err and not (here/'no').exists()

def test_several_classes(tmp_path):
    "Tiles of another size, with three classes and no table: masks are written, and an estimate"
    rng, data = np.random.default_rng(0), tmp_path/'data'
    for part, n in (('train/images', 16), ('train/masks', 16), ('test/images', 4)):
        (data/part).mkdir(parents=True)
        for i in range(n):
            a = rng.integers(0, 3, (6,7)).astype(np.uint8).repeat(6, 0).repeat(6, 1)
            Image.fromarray(a if 'masks' in part else a*80 + 20).save(data/part/f'{part[:2]}{i}.png')
    (tmp_path/'my.toml').write_text(MINE.replace('nets = 2', 'nets = 1'))
    found = run_recipe(data, tmp_path/'out', tmp_path/'my.toml', minutes=.15, weights='none', device='cpu', quiet=True)
    assert 0 <= found.score <= 1 and found.tiles >= 4
    assert len(list((tmp_path/'out'/'masks').glob('*.png'))) == 4
    assert resume_recipe(tmp_path/'out', quiet=True, device='cpu') == found
