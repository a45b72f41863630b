"""Bad input: whatever is wrong with a survey, the user gets one sentence that says what, where, and the mend.

Each case starts from a sound survey of ten tiles, breaks one thing, and asks for a `SaltError` with a message. An exception of
any other kind fails the test, since `bad` catches no other.
"""
import errno, os, random, shutil, subprocess, sys, tempfile, zipfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from salt_identification.files import SaltError, new_file, new_folder, read_json, read_table, write_json
from salt_identification.rle import masks_from_csv, rle_decode, rle_encode
from salt_identification.tiles import Survey, audit, find_survey, read_image

ROOT = Path(__file__).resolve().parent.parent
IDS, TEST_IDS = [f't{i:02d}' for i in range(10)], [f'u{i:02d}' for i in range(4)]

@contextmanager
def bad(*texts):
    "The block raises `SaltError`, a single line that holds each of `texts`"
    with pytest.raises(SaltError) as e: yield
    said = str(e.value)
    for t in texts: assert t in said, f'{t!r} is not in {said!r}'
    assert '\n' not in said.strip()

def smooth(rng, size=101):
    "Random grey waves"
    small = Image.fromarray(rng.integers(0, 256, (9,9), dtype=np.uint8))
    return np.asarray(small.resize((size, size), Image.Resampling.BICUBIC))

def save(a, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(a).save(path, **(dict(compress_level=1) if path.suffix == '.png' else {}))

def rgb(a): return np.repeat(a[...,None], 3, 2)

def make(path, ids=IDS, test_ids=TEST_IDS):
    "A sound survey"
    rng, lines = np.random.default_rng(0), ['id,rle_mask']
    for i, id in enumerate(ids):
        img = smooth(rng)
        mask = (smooth(rng) > 128).astype(np.uint16) if i % 3 else np.zeros((101,101), np.uint16)
        save(rgb(img), path/'train'/'images'/f'{id}.png'); save(mask*65535, path/'train'/'masks'/f'{id}.png')
        lines.append(f'{id},{rle_encode(mask)}')
    for id in test_ids: save(rgb(smooth(rng)), path/'test'/'images'/f'{id}.png')
    (path/'train.csv').write_text('\n'.join(lines) + '\n')
    (path/'depths.csv').write_text('id,z\n' + ''.join(f'{id},{100 + i}\n' for i, id in enumerate([*ids, *test_ids])))
    (path/'sample_submission.csv').write_text('id,rle_mask\n' + ''.join(f'{id},1 1\n' for id in test_ids))
    return path

@pytest.fixture(scope='module')
def sound(tmp_path_factory): return make(tmp_path_factory.mktemp('sound')/'survey')

@pytest.fixture
def path(sound, tmp_path):
    "A copy of the sound survey, to break"
    return Path(shutil.copytree(sound, tmp_path/'survey'))

@pytest.fixture
def table(path):
    "A copy whose masks come as run lengths only"
    shutil.rmtree(path/'train'/'masks')
    return path

def zip_parts(path, stored=False):
    "The same survey, with train.zip and test.zip in place of the folders"
    for part in ('train', 'test'):
        with zipfile.ZipFile(path/f'{part}.zip', 'w', zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED) as z:
            for f in sorted((path/part).rglob('*.png')): z.write(f, f.relative_to(path/part).as_posix())
        shutil.rmtree(path/part)
    return path

def image(path, id=IDS[3]): return path/'train'/'images'/f'{id}.png'
def mask(path, id=IDS[4]): return path/'train'/'masks'/f'{id}.png'
def edit(file, old, new):
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))

def without_line(file, id):
    file.write_text(''.join(l for l in file.read_text().splitlines(True) if not l.startswith(id)))

def load(path, **kwargs):
    "Everything that there is to read"
    s = Survey(path, **kwargs)
    return s, s.train, s.test, s.depths

def test_sound(sound):
    "What is broken below is whole at first"
    s, train, test, depths = load(sound)
    assert train.ids == IDS and test.ids == TEST_IDS and s.skipped == {}
    assert train.images.shape == (10,101,101) and set(np.unique(train.masks)) == {0, 1}
    assert audit(sound).problems == []

# The folder

def test_missing(tmp_path):
    with bad('nowhere is missing', 'check the path'): Survey(tmp_path/'nowhere')
    with bad('no survey under', 'train.csv beside train.zip', 'add the data set'): find_survey(tmp_path/'nowhere')

def test_empty(tmp_path):
    with bad(str(tmp_path), 'holds no tiles', 'expected train/images, train.zip, or image files'): Survey(tmp_path)
    (tmp_path/'notes.txt').write_text('no tile')
    with bad('holds no tiles'): Survey(tmp_path)

def test_a_file(path):
    with bad('train.csv is a file, expected a folder', 'pass the folder that it lies in'): Survey(path/'train.csv')
    with bad('is missing; check the path'): Survey(path/'train.csv'/'train')

def test_train_is_a_file(tmp_path):
    (tmp_path/'train').write_text('no folder')
    with bad('holds no tiles'): Survey(tmp_path)

def test_empty_parts(tmp_path):
    for d in ('train/images', 'train/masks', 'test/images'): (tmp_path/d).mkdir(parents=True)
    with bad('no labelled tiles', 'need train/images with train/masks'): Survey(tmp_path).train
    with bad('no tiles to predict', 'expected test/images, test.zip'): Survey(tmp_path).test
    with bad('holds no image that can be read'): Survey(tmp_path).size
    with bad('no image that can be read'): audit(tmp_path)

def test_no_labels(path):
    with bad('no labelled tiles', 'need train/images with train/masks'): Survey(path/'test').train
    shutil.rmtree(path/'train')
    with bad('no labelled tiles'): Survey(path).train
    assert Survey(path).test.ids == TEST_IDS

def test_no_masks(table):
    (table/'train.csv').write_text('id\n' + '\n'.join(IDS) + '\n')
    with bad('has no masks', 'need train/masks, or rle_mask in train.csv'): Survey(table).train
    with bad('tile t03 has no mask'): Survey(table).mask('t03')
    (table/'train.csv').unlink()
    with bad('has no masks'): Survey(table).train

def test_unknown_tile(path):
    with bad('tile zz is not in', '`ids` and `test_ids`'): Survey(path).image('zz')
    with bad('tile u01 has no mask'): Survey(path).mask('u01')
    with bad('tile zz is not among these 10'): Survey(path).train[['zz']]

def test_a_linked_folder(path, tmp_path):
    shutil.move(path/'train', tmp_path/'elsewhere')
    try: (path/'train').symlink_to(tmp_path/'elsewhere', target_is_directory=True)
    except OSError: pytest.skip('this system makes no links')
    assert Survey(path).train.ids == IDS
    (path/'train').unlink(); (path/'train').mkdir()
    for k in ('images', 'masks'): (path/'train'/k).symlink_to(tmp_path/'elsewhere'/k, target_is_directory=True)
    assert Survey(path).train.ids == IDS

def test_subfolders_and_junk(path, sound):
    "Images and masks sorted into folders of their own; previews and other left-overs between them"
    for kind in ('images', 'masks'):
        for i, id in enumerate(IDS):
            d = path/'train'/kind/('north' if i % 2 else 'south/line 7'); d.mkdir(parents=True, exist_ok=True)
            shutil.move(path/'train'/kind/f'{id}.png', d)
    (path/'train'/'images'/'.thumbnails').mkdir()
    save(np.zeros((9,9), np.uint8), path/'train'/'images'/'.thumbnails'/'t03.png')
    for name in ('Thumbs.db', '.DS_Store', '._t03.png', 'notes.txt'): (path/'train'/'images'/name).write_bytes(b'junk')
    (path/'train'/'masks').rename(path/'train'/'Masks')
    got, want = Survey(path).train, Survey(sound).train
    assert got.ids == IDS and (got.images == want.images).all() and (got.masks == want.masks).all()

def test_masks_in_a_folder_of_another_name(path):
    (path/'train'/'masks').rename(path/'train'/'labels')
    with bad('two images for tile t00', 'labels', 'put masks into a folder called masks'): Survey(path)

def test_one_id_twice(path):
    shutil.copy(image(path), path/'train'/'images'/'t03.tif')
    with bad('two images for tile t03', 't03.png', 't03.tif', 'keep one'): Survey(path)

def test_in_train_and_test(path):
    shutil.copy(image(path), path/'test'/'images'/'t03.png')
    with bad('tile t03 is in both train and test', 'rename or remove one'): Survey(path).ids
    s = Survey(path, skip_bad=True)
    assert 't03' not in s.ids and 't03' not in s.test_ids and 'both' in s.skipped['t03']

# Zips

@pytest.mark.parametrize('share', [0, .01, .3, .7, .95, .999])
def test_zip_cut_short(path, share):
    f = zip_parts(path)/'train.zip'
    f.write_bytes(f.read_bytes()[:int(share*f.stat().st_size)])
    with bad('train.zip is no zip, or was cut short', 'download or copy it again'): Survey(path)

def test_zip_is_a_page(path):
    (zip_parts(path)/'test.zip').write_text('<html>sign in first</html>')
    with bad('test.zip is no zip, or was cut short'): Survey(path)

@pytest.mark.parametrize('stored', [True, False])
def test_zip_damaged_inside(path, stored):
    f = zip_parts(path, stored)/'train.zip'
    with zipfile.ZipFile(f) as z: at = z.getinfo('images/t03.png').header_offset
    data = bytearray(f.read_bytes()); data[at+200:at+400] = bytes(200)
    f.write_bytes(data)
    with bad('image t03 in', 'train.zip is damaged inside the zip', 'copy the zip again', '--skip-bad'):
        Survey(path).train
    s = Survey(path, skip_bad=True)
    assert s.train.ids == [i for i in IDS if i != 't03'] and list(s.skipped) == ['t03']

def test_zip_fuzz(path):
    "Random bytes overwritten, anywhere: the survey is read, or a sentence says why not"
    f = zip_parts(path, stored=True)/'train.zip'
    data, rnd, told = f.read_bytes(), random.Random(0), 0
    for i in range(40):
        b, n = bytearray(data), len(data)
        for _ in range(3):
            k = rnd.randrange(n - n//8, n) if i % 2 else rnd.randrange(n)
            b[k:k+4] = rnd.randbytes(4)
        f.write_bytes(b[:n])
        try: Survey(path).train
        except SaltError as e: told += 1; assert 'train' in str(e)
    assert told > 20

def test_zip_locked(path):
    "The flag of a password is set in both of its headers"
    f = zip_parts(path)/'train.zip'
    data = bytearray(f.read_bytes())
    for sign, at in ((b'PK\x03\x04', 6), (b'PK\x01\x02', 8)):
        k = data.find(sign); data[k+at] |= 1
    f.write_bytes(data)
    with bad('image t00 in', 'or locked'): Survey(path).train

def repack(path, rename=lambda n: n, extra=()):
    "Zips of the survey whose entries have other names, and some more"
    for part in ('train', 'test'):
        files = {f.relative_to(path/part).as_posix(): f.read_bytes() for f in sorted((path/part).rglob('*.png'))}
        shutil.rmtree(path/part)
        with zipfile.ZipFile(path/f'{part}.zip', 'w') as z:
            for name, data in [*((rename(f'{part}/{n}'), d) for n, d in files.items()),
                *((n, b'junk') for n in extra)]: z.writestr(name, data)
    return path

JUNK = ['Thumbs.db', 'images/Thumbs.db', 'images/.DS_Store', 'images/._t03.png', '__MACOSX/images/._t03.png',
    '__MACOSX/images/t03.png', 'masks/desktop.ini']

@pytest.mark.parametrize('rename, extra',
    [(lambda n: n.split('/', 1)[1], JUNK), (lambda n: n, []), (lambda n: f'kaggle/{n}', JUNK),
    (lambda n: n.replace('/', '\\'), [])],
    ids=['junk', 'train/images', 'deeper, and junk', 'backslashes'])
def test_zips_that_are_fine(path, sound, rename, extra):
    s, train, test, _ = load(repack(path, rename, extra))
    s0, train0, test0, _ = load(sound)
    assert train.ids == IDS and test.ids == TEST_IDS and s.skipped == {}
    assert (train.images == train0.images).all() and (train.masks == train0.masks).all() and (
        test.images == test0.images).all()

# Images

def test_no_image(path):
    image(path).write_text('<html>sign in first</html>')
    with bad('image t03 in', 'train is no image', 'replace or remove it', 'skip_bad=True'): Survey(path).train
    image(path).write_bytes(b'')
    with bad('image t03 in', 'is no image'): Survey(path).train

@pytest.mark.parametrize('share', [.3, .6, .95])
def test_image_cut_short(path, share):
    image(path).write_bytes(image(path).read_bytes()[:int(share*image(path).stat().st_size)])
    with bad('image t03 in', 'is cut short or damaged', 'replace or remove it', '--skip-bad'): Survey(path).train

@pytest.mark.filterwarnings('ignore') # Pillow's, about the same files
@pytest.mark.parametrize('suffix', ['.png', '.tif', '.bmp', '.jpg'])
def test_image_fuzz(path, suffix):
    "Random bytes in any format: pixels, or a sentence"
    image(path).unlink()
    f, rnd, told = image(path).with_suffix(suffix), random.Random(1), 0
    Image.fromarray(rgb(smooth(np.random.default_rng(3)))).save(f)
    data, s = f.read_bytes(), Survey(path)
    usual = s._usual
    for _ in range(60):
        b = bytearray(data)
        for _ in range(4): b[rnd.randrange(min(len(b), 400))] = rnd.randrange(256)
        f.write_bytes(b)
        try: s.image('t03')
        except SaltError as e: told += 1; assert 't03' in str(e)
    assert told > 5 and s._usual == usual

def test_broken_link(path):
    image(path).unlink()
    try: image(path).symlink_to(path/'gone.png')
    except OSError: pytest.skip('this system makes no links')
    with bad('image t03 in', 'cannot be read', 'No such file'): Survey(path).train

def test_other_size(path):
    save(rgb(smooth(np.random.default_rng(0), 100)), image(path))
    with bad('image t03 in', 'is 100x100, expected 101x101 as the rest', 'cut or remove it'): Survey(path).train
    save(rgb(smooth(np.random.default_rng(0), 101)[:90]), image(path))
    with bad('is 90x101, expected 101x101'): Survey(path).train

def test_other_mode(path):
    save(smooth(np.random.default_rng(0)), image(path))
    with bad('image t03 in', 'has mode L, the rest RGB', 'convert or remove it'): Survey(path).train

def test_the_odd_one_comes_first(path):
    "The usual size is that of the many, not that of the first"
    save(smooth(np.random.default_rng(0), 64), image(path, 't00'))
    with bad('image t00 in', 'is 64x64, expected 101x101'): Survey(path).train

def test_floating_point_images(tmp_path):
    for i in range(3): save(np.random.default_rng(i).random((20,20)).astype(np.float32), tmp_path/f'{i}.tif')
    with bad('image 0 in', 'holds floats', 'save them as 8-bit grey'): Survey(tmp_path).test

def convert(path, change, suffix='.png'):
    "Every image of the survey changed"
    for f in sorted(path.rglob('images/*.png')):
        img = change(Image.open(f).convert('L'))
        f.unlink(); img.save(f.with_suffix(suffix))
    return path

FINE = {'.png': ['L', 'RGB', 'RGBA', 'LA', 'P', '16 bit'], '.tif': ['L', 'RGB', 'RGBA', 'LA', 'P', '16 bit'],
    '.TIFF': ['L'], '.bmp': ['L', 'RGB', 'P'], '.gif': ['L', 'P']}

@pytest.mark.parametrize('suffix, change', [(s, c) for s, cs in FINE.items() for c in cs])
def test_images_that_are_fine(path, sound, suffix, change):
    deep = lambda img: Image.fromarray(np.asarray(img).astype(np.uint16)*257)
    got, want = load(convert(path, deep if change == '16 bit' else lambda img: img.convert(change),
        suffix)), load(sound)
    for k in (1, 2): assert (got[k].images == want[k].images).all()
    assert got[1].ids == IDS and audit(path).remarks == audit(sound).remarks

def test_images_as_jpeg(path, sound):
    got, want = Survey(convert(path, lambda img: img.convert('RGB'), '.jpg')).train, Survey(sound).train
    assert np.abs(got.images.astype(int) - want.images).mean() < 4 and (got.masks == want.masks).all()

@pytest.mark.parametrize('times, plus, said', [(1, 0, '0 to 255 only, 1 of 256'),
    (4, 0, '0 to 1020 only, 4 of 256'), (16, 0, '0 to 4080 only, 16 of'), (1, 32700, '32700 to 32955 only, 2 of')])
@pytest.mark.parametrize('dtype, mode', [(np.uint16, 'I;16'), (np.int32, 'I')])
def test_faint_images(path, times, plus, said, dtype, mode):
    "Of sixteen bits the upper eight are kept; where next to nothing is in them, it is said, also before a prediction"
    convert(path, lambda img: Image.fromarray((np.asarray(img).astype(int)*times + plus).astype(dtype)), '.tif')
    for f in (lambda s: s.train, lambda s: s.test, lambda s: s.image('t03'), lambda s: s.size, audit):
        with bad(f'images of mode {mode} hold {said}',
            'scale all tiles alike to 0 to 65535, or save them as 8-bit grey'): f(Survey(path, skip_bad=True))

def test_one_faint_image(path):
    "A quiet tile among others is what it is, and so is a survey of a single value to predict"
    convert(path, lambda img: Image.fromarray(np.asarray(img).astype(np.uint16)*257))
    save(np.resize(np.arange(1000, dtype=np.uint16), (101,101)), image(path))
    assert Survey(path).train.images[3].max() == 3
    shutil.rmtree(path/'train')
    for id in TEST_IDS: save(np.full((101,101), 300, np.uint16), path/'test'/'images'/f'{id}.png')
    assert (Survey(path).test.images == 1).all()

def test_images_in_colour(path):
    "They are read as their brightness, and the audit says so"
    convert(path, lambda img: Image.merge('RGB', [img, img.point(lambda v: v//2), img]))
    assert len(Survey(path).train) == 10 and 'images in colour' in ' '.join(audit(path).remarks)

@pytest.mark.parametrize('which', [image, mask])
def test_many_pictures_in_one_file(path, which):
    img = Image.open(which(path)); which(path).unlink()
    img.save(which(path).with_suffix('.tif'), save_all=True, append_images=[img]*2)
    with bad(which(path).stem, 'holds 3 pictures, expected one', 'save each in a file of its own', '--skip-bad'):
        Survey(path).train
    assert list(Survey(path, skip_bad=True).train.ids) == [i for i in IDS if i != which(path).stem]

def test_all_flat(path):
    for id in IDS: save(np.full((101,101,3), 7, np.uint8), image(path, id))
    with bad('every one of 10 tiles is flat', 'scaled wrongly'): Survey(path).train
    with bad('every one of 10 tiles is flat'): Survey(zip_parts(path)).train

# Masks

def test_mask_without_image(path):
    image(path).unlink(); without_line(path/'train.csv', 't03')
    with bad('mask t03 has no image', 'add the image, or remove the mask'): Survey(path).train

def test_image_without_mask(path):
    mask(path).unlink()
    with bad('image t04 has no mask', 'add the mask, or move the image'): Survey(path).train

def test_mask_of_another_size(path):
    save(np.zeros((64,101), np.uint8), mask(path))
    with bad('mask t04 in', 'is 64x101, expected 101x101'): Survey(path).train

def test_mask_no_image(path):
    mask(path).write_text('no image')
    with bad('mask t04 in', 'is no image'): Survey(path).train

def test_mask_in_colour(path):
    save(np.stack([np.zeros((101,101)), np.eye(101)*255, np.eye(101)], 2).astype(np.uint8), mask(path))
    with bad('mask t04 in', 'is in colour', 'one grey channel of class numbers'): Survey(path).train

@pytest.mark.parametrize('values', [[0,128,255], [0,1,255], [3,254,255]])
def test_mask_with_odd_greys(path, values):
    save(np.resize(np.array(values, np.uint8), (101,101)), mask(path))
    with bad('mask t04 in', f'holds the values {values}', 'use 0 and 255 for salt, or class numbers'):
        Survey(path).train

@pytest.mark.parametrize('values', [[0,255], [0,32768], [0,300,65535]])
def test_deep_mask_with_odd_greys(path, values):
    "A 16-bit file whose highest value is not 65535"
    save(np.resize(np.array(values, np.uint16), (101,101)), mask(path))
    with bad('mask t04 in', 'holds the values', 'use 0 and 65535 for salt, or class numbers up to 254'):
        Survey(path).train

def test_one_grey_among_salt(path):
    "A grey of 128 is no class 128 where the other masks hold 0 and 65535"
    save(np.resize(np.array([0,128], np.uint8), (101,101)), mask(path))
    with bad('mask t04 in', 'holds the values [0, 128], others 0 and the highest', 'class numbers throughout'):
        Survey(path).train

def test_mask_of_probabilities(path):
    mask(path).unlink()
    save(np.random.default_rng(0).random((101,101)).astype(np.float32), mask(path).with_suffix('.tif'))
    with bad('mask t04 in', 'holds fractions', 'threshold it'): Survey(path).train

@pytest.mark.parametrize('kind', ['8 bit', '1 bit', '0 and 1', 'rgb', 'with transparency', 'palette'])
def test_masks_that_are_fine(path, sound, kind):
    want = Survey(sound).train.masks
    for id, m in zip(IDS, want):
        grey = Image.fromarray(m*255)
        {'8 bit': lambda: grey, '1 bit': lambda: grey.convert('1'), '0 and 1': lambda: Image.fromarray(m),
            'rgb': lambda: grey.convert('RGB'),
            'with transparency': lambda: grey.convert('LA'),
            'palette': lambda: grey.convert('P')}[kind]().save(mask(path, id))
    assert (Survey(path).train.masks == want).all()

# Masks as run lengths

def test_run_lengths_equal_files(path, sound):
    want = Survey(sound).train.masks
    shutil.rmtree(path/'train'/'masks')
    assert (Survey(path).train.masks == want).all()
    assert all((masks_from_csv(path/'train.csv')[i] == m).all() for i, m in zip(IDS, want))

RUNS = [('NaN', "run 1: 'NaN' is no integer", 'or nothing for an empty mask'),
    ('1 3 5', 'run 2: start 5 has no length', 'expected pairs'),
    ('1 x', "run 1: 'x' is no integer", '"start length"'), ('1.0 3', "'1.0' is no integer"),
    ('--1 3', "'--1' is no integer"), ('0 4', 'run 1: "0 4" starts before pixel 1'),
    ('-3 4', 'starts before pixel 1'), ('1 0', 'run 1: "1 0" has a length below 1'),
    ('1 4 3 2', 'run 2: "3 2" overlaps the run before it'),
    ('9 1 3 2', 'run 2: "3 2" is out of order'), ('10200 5', 'run 1: "10200 5" goes past the last pixel, 10201'),
    ('1 3;5 2', "'3;5' is no integer"),
    ('9'*18 + ' 1', 'is no integer'), (f'{9*10**18} {9*10**18}', 'is no integer'),
    ('1 ' + '9'*15, 'goes past the last pixel'), ('[1 2]', "'[1' is no integer")]

@pytest.mark.parametrize('runs, why', [(r, w) for r, *w in RUNS])
def test_malformed_runs(table, runs, why):
    lines = (table/'train.csv').read_text().split('\n')
    lines[4] = f't03,{runs}'
    (table/'train.csv').write_text('\n'.join(lines))
    with bad('train.csv: tile t03, run', *why): Survey(table).train
    with bad('train.csv: id t03, run', *why): masks_from_csv(table/'train.csv')
    s = Survey(table, skip_bad=True)
    assert s.train.ids == [i for i in IDS if i != 't03'] and why[0] in s.skipped['t03']

def test_runs_that_are_no_string():
    with bad('run lengths are a list, expected a string'): rle_decode(['1 3'])
    assert rle_decode(None).sum() == rle_decode(float('nan')).sum() == rle_decode(' ').sum() == 0

def test_masks_from_csv(tmp_path):
    (tmp_path/'a.csv').write_text('id,rle_mask\na1,1 3\n../b2,4 1\n')
    with bad("id '../b2' is no name for a file", 'rename it'): masks_from_csv(tmp_path/'a.csv', out=tmp_path/'masks')
    assert sorted(p.name for p in tmp_path.iterdir()) == ['a.csv']
    with bad("has no column 'pixels'"): masks_from_csv(tmp_path/'a.csv', column='pixels')
    with bad('nothing.csv is missing'): masks_from_csv(tmp_path/'nothing.csv')
    (tmp_path/'full').mkdir()
    (tmp_path/'full'/'mine.txt').touch(); (tmp_path/'a.csv').write_text('id,rle_mask\na1,1 3\n')
    with bad('full exists', 'overwrite=True'): masks_from_csv(tmp_path/'a.csv', out=tmp_path/'full')

# Tables

TABLES = [('train.csv', 't03', 't04'), ('depths.csv', 't03', 't04'), ('sample_submission.csv', 'u01', 'u02')]

@pytest.mark.parametrize('name, id, other', TABLES)
def test_doubled_id(path, name, id, other):
    edit(path/name, f'\n{id},', f'\n{other},')
    with bad(f'{name} has id {other} more than once', 'in lines', 'keep one of each'): load(path)
    with bad(f'{name} has id {other} more than once'): load(path, skip_bad=True)

@pytest.mark.parametrize('name, id, why',
    [('train.csv', 't03', ('train', 'image t03 is not in train.csv', 'add a line, or remove the image')),
    ('depths.csv', 't03', ('depths.csv lacks tile t03 (1 in all)', 'add its depth')),
    ('sample_submission.csv', 'u01', ('test', 'image u01 is not in sample_submission.csv', 'add a line'))])
def test_missing_id(path, name, id, why):
    without_line(path/name, id)
    with bad(*why): load(path)
    s, train, test, _ = load(path, skip_bad=True)
    assert id in s.skipped and sorted([*train.ids, *test.ids, id]) == [*IDS, *TEST_IDS]
    assert len(train.depths) == len(train)

@pytest.mark.parametrize('name, why',
    [('train.csv', ('train.csv: tile zz has no image in', 'add it, or delete the line')),
    ('depths.csv', ('depths.csv names tile zz (1 in all)', 'delete the line')),
    ('sample_submission.csv', ('sample_submission.csv: tile zz has no image in', 'delete the line'))])
def test_unknown_id(path, name, why):
    with open(path/name, 'a') as f: f.write('zz,1\n' if name == 'depths.csv' else 'zz,\n')
    with bad(*why): load(path)
    s, train, test, _ = load(path, skip_bad=True)
    assert list(s.skipped) == ['zz'] and train.ids == IDS and test.ids == TEST_IDS

@pytest.mark.parametrize('name, column', [('train.csv', 'id'), ('depths.csv', 'id'), ('depths.csv', 'z'),
    ('sample_submission.csv', 'id'), ('sample_submission.csv', 'rle_mask')])
def test_no_header(path, name, column):
    head, rest = (path/name).read_text().split('\n', 1)
    (path/name).write_text(rest)
    with bad(f"{name} has no column 'id'", 'its first line is', 'the header must be id'): load(path)
    (path/name).write_text(head.replace(column, 'x') + '\n' + rest)
    with bad(f'{name} has no column {column!r}'): load(path)
    (path/name).write_text('')
    with bad(f'{name} is empty, expected a CSV with the header'): load(path)

@pytest.mark.parametrize('name', ['train.csv', 'depths.csv', 'sample_submission.csv'])
@pytest.mark.parametrize('how', ['windows', 'bom', 'quotes', 'all', 'blanks', 'no last line end', 'old mac'])
def test_tables_that_are_fine(path, sound, name, how):
    shutil.rmtree(path/'train'/'masks')
    text = (path/name).read_text()
    if how in ('quotes', 'all'):
        text = ''.join(','.join(f'"{c}"' for c in l.split(',')) + '\n' for l in text.split('\n')[:-1])
    if how == 'blanks': text = '\n' + text.replace('\n', ' \n\n').replace(',', ', ')
    if how == 'no last line end': text = text.rstrip('\n')
    if how in ('windows', 'all'): text = text.replace('\n', '\r\n')
    if how == 'old mac': text = text.replace('\n', '\r')
    (path/name).write_bytes((b'\xef\xbb\xbf' if how in ('bom', 'all') else b'') + text.encode())
    s, train, test, depths = load(path)
    s0, train0, test0, depths0 = load(sound)
    assert train.ids == train0.ids and test.ids == test0.ids and depths == depths0
    assert (train.masks == train0.masks).all() and (train.images == train0.images).all() and (
        test.depths == test0.depths).all()

@pytest.mark.parametrize('data, why', [('id;z\na;1\n'.encode(), ("has no column 'id'", "'id;z'")),
    ('id,z\na,1\n'.encode('utf-16'), ('no CSV that can be read', 'save it as UTF-8')),
    (b'id,z\na,\xe9\n', ('at byte 7', 'save it as UTF-8 with commas')),
    (b'id,z\na,1\nb', ('has 1 cells in line 3, its header 2', 'cut short')),
    (b'id,z\na,1,\nb,2,\n', ('has 3 cells in line 2',)),
    (b'id,z\n"a,1\n', ('no CSV that can be read', 'check its quotes')),
    (b'id,z\na,1\n ,2\n', ('has no id in line 3', 'fill it in')),
    (b'id,z,z\na,1,2\n', ("has column 'z' more than once",)), (b'\n\n', ('is empty',)),
    (b'PK\x03\x04\x00\xff', ('depths.csv',))])
def test_no_table(path, data, why):
    (path/'depths.csv').write_bytes(data)
    with bad('depths.csv', *why): load(path)

def test_table_is_a_folder(path):
    (path/'train.csv').unlink(); (path/'train.csv').mkdir()
    with bad('train.csv is a folder, expected a CSV file'): Survey(path).ids
    with bad('nothing.csv is missing; check the path'): read_table(path/'nothing.csv', ['id'])

@pytest.mark.parametrize('z', ['', 'nan', 'deep', 'inf', '3,5'])
def test_bad_depth(path, z):
    edit(path/'depths.csv', 't03,103', f't03,"{z}"')
    with bad('depths.csv: tile t03 has z', repr(z), 'expected a number', 'fill it in, or remove the table'): load(path)

# Permissions

posix = pytest.mark.skipif(os.name != 'posix', reason='permissions of this kind are POSIX only')

@contextmanager
def nobody():
    "Root may read everything, so it becomes somebody else for a while"
    root = os.geteuid() == 0
    if root: os.seteuid(65534)
    try: yield
    finally:
        if root: os.seteuid(0)

@contextmanager
def closed(p, mode=0):
    "Nobody may use `p`"
    before = p.stat().st_mode
    p.chmod(mode)
    try:
        with nobody(): yield
    finally: p.chmod(before)

@pytest.fixture
def open_path(sound):
    "A copy of the sound survey that others can reach"
    tmp = Path(tempfile.mkdtemp())
    tmp.chmod(0o755)
    yield Path(shutil.copytree(sound, tmp/'survey'))
    shutil.rmtree(tmp)

@posix
def test_no_permission(open_path):
    path = open_path
    load(path)
    with nobody(): assert load(path)[0].skipped == {}
    for p, what in [(image(path), 'image t03 in'), (mask(path), 'mask t04 in'),
        (path/'depths.csv', 'depths.csv'), (path/'train.csv', 'train.csv'),
            (path/'train'/'masks', 'masks'), (path/'test', 'test'), (path, f'survey {path}'),
            (path.parent, f'survey {path}')]:
        with closed(p), bad(what, 'cannot be read', 'ermission', 'ask for'): load(path)
    with closed(image(path)): assert list(load(path, skip_bad=True)[0].skipped) == ['t03']

@posix
def test_no_permission_for_a_zip(open_path):
    zip_parts(open_path)
    with closed(open_path/'train.zip'), bad('train.zip cannot be read: no permission'): Survey(open_path)

@posix
def test_no_permission_for_a_picture(open_path):
    with closed(image(open_path)), bad('t03.png cannot be read: no permission; ask for it'):
        read_image(image(open_path))

@posix
def test_no_permission_to_write(open_path):
    write_json(open_path/'old.json', 1)
    for name in ('a.json', 'new/a.json', 'old.json'):
        with closed(open_path, 0o555), bad(f'{name} cannot be written: no permission', 'choose another folder'):
            write_json(open_path/name, 2, overwrite=True)
    with closed(open_path, 0o555), bad('d cannot be written: no permission'):
        with new_folder(open_path/'d'): pytest.fail('the block ran')
    with closed(open_path), bad('cannot be written: no permission'): write_json(open_path/'a.json', 2)
    with closed(open_path/'old.json'), bad('old.json cannot be read: no permission'): read_json(open_path/'old.json')
    assert read_json(open_path/'old.json') == 1

# Going on without the bad ones

@pytest.fixture(scope='module')
def sixty(tmp_path_factory):
    ids = [f'k{i:02d}' for i in range(60)]
    path = make(tmp_path_factory.mktemp('sixty')/'survey', ids)
    image(path, 'k07').write_text('no image')
    save(rgb(smooth(np.random.default_rng(0), 64)), image(path, 'k21'))
    save(np.resize(np.array([0,128,255], np.uint8), (101,101)), mask(path, 'k58'))
    return path

@pytest.mark.parametrize('zipped', [False, True])
def test_skip_bad(sixty, tmp_path, zipped):
    path = Path(shutil.copytree(sixty, tmp_path/'s'))
    if zipped: zip_parts(path)
    with bad('k07', 'is no image', '--skip-bad (skip_bad=True)'): Survey(path).train
    s = Survey(path, skip_bad=True)
    assert len(s.train) == 57 and not {'k07','k21','k58'} & set(s.train.ids)
    assert sorted(s.skipped) == ['k07','k21','k58']
    for id, why in (('k07', 'is no image'), ('k21', 'is 64x64, expected 101x101'),
        ('k58', 'holds the values [0, 128, 255]')): assert id in s.skipped[id] and why in s.skipped[id]
    assert len(s.train.depths) == len(s.train.masks) == 57
    assert [len(t) for t in Survey(path, skip_bad=True).chunks('train', n=20)] == [19,19,19]
    assert sorted(audit(path).problems) == sorted(s.skipped.values())

def test_a_piece_of_bad_ones(path):
    for id in IDS[4:8]: image(path, id).write_text('no image')
    assert [t.ids for t in Survey(path, skip_bad=True).chunks('train', n=4)] == [IDS[:4], IDS[8:]]
    assert len(audit(path).problems) == 4

def test_nothing_left(path):
    for id in IDS: mask(path, id).write_text('no image')
    with bad('not one of 10 tiles can be used', 'the first of 10 left out: mask t00 in', 'is no image'):
        Survey(path, skip_bad=True).train
    with bad('not one of 10 tiles can be used'): list(Survey(path, skip_bad=True).chunks('train', n=4))
    for id in IDS: mask(path, id).unlink()
    save(np.zeros((101,101), np.uint8), mask(path, 'zz'))
    with bad('no labelled tiles', 'the first of 11 left out: '): Survey(path, skip_bad=True).train

# More tiles than memory

@pytest.mark.parametrize('zipped', [False, True])
@pytest.mark.parametrize('memory', [0, 10*101*101, 2*10*101*101 - 1, 2*10*101*101, None])
def test_memory_or_file(path, sound, memory, zipped):
    "Wherever the pixels lie, they are the same; also with tiles left out"
    if zipped: zip_parts(path)
    s, train, test, _ = load(path, memory=memory)
    _, want, wanted, _ = load(sound)
    assert (train.images == want.images).all() and (train.masks == want.masks).all() and (
        test.images == wanted.images).all()
    for a, n in ((train.images, 20), (train.masks, 20), (test.images, 4)):
        assert isinstance(a.base, np.memmap) == (memory is not None and n*101*101 > memory)
        assert a.dtype == np.uint8 and a.flags.c_contiguous and a.flags.writeable

def test_left_out_of_a_file(path):
    for id in ('t00', 't07'): image(path, id).write_text('no image')
    a, b = (Survey(path, skip_bad=True, memory=m).train for m in (None, 0))
    assert a.ids == b.ids == [i for i in IDS if i not in ('t00', 't07')]
    assert (a.images == b.images).all() and (a.masks == b.masks).all() and (a.depths == b.depths).all()
    for id in IDS: image(path, id).write_text('no image')
    with bad('not one of 10 tiles can be used'): Survey(path, skip_bad=True, memory=0).train

def python(code, *args, **env):
    env = dict(os.environ, PYTHONDONTWRITEBYTECODE='1', **env)
    return subprocess.run([sys.executable, '-W', 'ignore', '-c', code, *map(str, args)], capture_output=True,
        text=True, cwd=ROOT, env=env)

@pytest.mark.skipif(os.name != 'posix', reason='a process is killed in this way on POSIX only')
def test_killed_with_a_file(sound, tmp_path):
    "The file has no name, so nothing is left of it even then"
    out = python('import os, signal, sys\nfrom salt_identification.tiles import Survey\ntiles = Survey(sys.argv[1], memory=0).train\n'
        'print(type(tiles.images.base).__name__, flush=True)\nos.kill(os.getpid(), signal.SIGKILL)', sound,
        TMPDIR=str(tmp_path))
    assert out.stdout == 'memmap\n' and out.returncode == -9 and os.listdir(tmp_path) == []

def test_no_room_for_the_file(sound, tmp_path):
    "A process that may write files of 4,000 bytes only"
    pytest.importorskip('resource')
    out = python('import resource, sys\nfrom salt_identification.tiles import SaltError, Survey\nresource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))\n'
        'try: Survey(sys.argv[1], memory=0).train\nexcept SaltError as e: print(e)\nprint(len(Survey(sys.argv[1]).train))', sound, TMPDIR=str(tmp_path))
    assert out.returncode == 0, out.stderr[-2000:]
    for said in ('not into the folder for temporary files (File too large)', 'set TMPDIR',
        'pass a larger memory=', '\n10\n'): assert said in out.stdout

@pytest.mark.parametrize('memory', ['2 GB', -1, float('nan')])
def test_memory_is_no_number(path, memory):
    with bad('memory is', '0 to inf'): Survey(path, memory=memory)

# Writing

def left(folder): return sorted(str(p.relative_to(folder)) for p in folder.rglob('*'))

@pytest.mark.parametrize('error', [RuntimeError, KeyboardInterrupt, SystemExit])
def test_stopped_while_writing(tmp_path, error):
    write_json(tmp_path/'a.json', 1)
    with new_folder(tmp_path/'d') as d: (d/'1.txt').write_text('old')
    before = left(tmp_path)
    for name in ('a.json', 'b.json'):
        with pytest.raises(error):
            with new_file(tmp_path/name, overwrite=True) as f: f.write_text('half'); raise error
    for name in ('d', 'e'):
        with pytest.raises(error):
            with new_folder(tmp_path/name, overwrite=True) as d: (d/'1.txt').write_text('half'); raise error
    assert left(tmp_path) == before and read_json(tmp_path/'a.json') == 1 and (tmp_path/'d'/'1.txt').read_text() == 'old'

def test_no_overwriting_unasked(tmp_path):
    write_json(tmp_path/'a.json', 1)
    with bad('a.json exists', 'pass --overwrite (overwrite=True), or name another'): write_json(tmp_path/'a.json', 2)
    write_json(tmp_path/'a.json', 2, overwrite=True)
    with new_folder(tmp_path/'d') as d: (d/'1.txt').touch()
    with bad('d exists', 'overwrite=True'):
        with new_folder(tmp_path/'d'): pytest.fail('the block ran')
    with bad('a.json exists'):
        with new_folder(tmp_path/'a.json'): pytest.fail('the block ran')
    assert read_json(tmp_path/'a.json') == 2 and left(tmp_path) == ['a.json', 'd', 'd/1.txt']

def test_places_that_cannot_be(tmp_path):
    (tmp_path/'a').write_text('a file')
    with bad('cannot be written', 'choose another folder'): write_json(tmp_path/'a'/'b.json', 1)
    with bad('cannot be written', 'choose another folder'):
        with new_folder(tmp_path/'a'/'b'): pass
    with bad('cannot be written', 'choose another folder'):
        with new_folder(tmp_path/'a', overwrite=True): pass
    with bad('cannot be written', 'File name too long'): write_json(tmp_path/('x'*300), 1)
    (tmp_path/'d'/'e').mkdir(parents=True)
    with bad('cannot be written', 'choose another folder'): write_json(tmp_path/'d', 1, overwrite=True)
    assert left(tmp_path) == ['a', 'd', 'd/e'] and (tmp_path/'a').read_text() == 'a file'

@pytest.mark.parametrize('e',
    [OSError(errno.ENOSPC, 'No space left on device'), OSError('10201 requested and 4096 written'),
    RuntimeError('I/O error: No space left on device (os error 28)')])
def test_disk_full(tmp_path, e):
    "As the system, numpy and safetensors say it"
    write_json(tmp_path/'a.json', 1)
    with bad('a.json cannot be written: the disk is full', 'free some space'):
        with new_file(tmp_path/'a.json', overwrite=True) as f: f.write_text('ha'); raise e
    with bad('d cannot be written: the disk is full'):
        with new_folder(tmp_path/'d') as d: (d/'1.txt').write_text('ha'); raise e
    assert left(tmp_path) == ['a.json'] and read_json(tmp_path/'a.json') == 1

def test_disk_full_anywhere(tmp_path, monkeypatch):
    "Also at making the folder, and at the last rename"
    def full(*args, **kwargs): raise OSError(errno.ENOSPC, 'No space left on device')
    for owner, name in ((Path, 'mkdir'), (Path, 'write_text'), (os, 'replace')):
        with monkeypatch.context() as m:
            m.setattr(owner, name, full)
            with bad('the disk is full'): write_json(tmp_path/'b.json', 1)
            if name != 'write_text':
                with bad('the disk is full'):
                    with new_folder(tmp_path/'d') as d: (d/'1').touch()
        assert left(tmp_path) == []

def test_old_folder_comes_back(tmp_path, monkeypatch):
    "The new folder fails to take its place after the old one stepped aside"
    with new_folder(tmp_path/'d') as d: (d/'1.txt').write_text('old')
    replace, calls = os.replace, []
    def second_fails(a, b):
        calls.append(a)
        if len(calls) == 2: raise KeyboardInterrupt
        return replace(a, b)
    monkeypatch.setattr(os, 'replace', second_fails)
    with pytest.raises(KeyboardInterrupt):
        with new_folder(tmp_path/'d', overwrite=True) as d: (d/'1.txt').write_text('new')
    assert left(tmp_path) == ['d', 'd/1.txt'] and (tmp_path/'d'/'1.txt').read_text() == 'old'

def test_really_no_room(tmp_path):
    "A process that may write files of 4,000 bytes only"
    pytest.importorskip('resource')
    code = ('import resource, sys, numpy as np\nfrom pathlib import Path\nfrom salt_identification.files import *\n'
        'resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))\np = Path(sys.argv[1])\n'
        'def save(f): np.save(f, np.zeros(10000))\n'
        'for make, write in ((new_file, lambda f: f.write_text("x"*10000)), (new_folder, lambda d: (d/"1").write_text("x"*10000)), (new_file, save)):\n'
        '    try:\n        with make(p/"a.npy") as f: write(f)\n'
        '    except SaltError as e: print(e)\n')
    env = dict(os.environ, PYTHONDONTWRITEBYTECODE='1')
    out = subprocess.run([sys.executable, '-c', code, str(tmp_path)], capture_output=True, text=True, cwd=ROOT, env=env)
    assert out.returncode == 0, out.stderr[-2000:]
    assert out.stdout.count('a.npy cannot be written: ') == 3, out.stdout
    assert left(tmp_path) == []

def test_json(tmp_path):
    (tmp_path/'a.json').write_text('{"seed": 1, "lr"')
    with bad('a.json is no JSON, or was cut short', 'restore it from a copy'): read_json(tmp_path/'a.json')
    (tmp_path/'a.json').write_bytes(b'\xff\xfe{')
    with bad('a.json is no JSON'): read_json(tmp_path/'a.json')
    with bad('is a folder, expected a JSON file'): read_json(tmp_path)
    with bad('b.json is missing; check the path'): read_json(tmp_path/'b.json')
