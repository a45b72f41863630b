"""The part of the labelled tiles on which no choice is ever made: a grouped fifth.

    python benchmarks/kept_out.py make DATA OUT     a survey in OUT, in which that fifth stands among the unlabelled tiles
    python benchmarks/kept_out.py grade OUT RUN     what the submission of a recipe that was trained on OUT scores on it

So a recipe can be graded as strangers will grade it, by its own command. Once a recipe and setting, and never to choose.
"""
import json, sys
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from salt_identification.data import make_folds
from salt_identification.neighbours import survey_groups
from salt_identification.files import new_folder, read_table
from salt_identification.rle import save_masks
from salt_identification.submission import read_submission, score_masks
from salt_identification.tiles import Survey
from salt_identification.uncertainty import caught

def kept_out(survey, seed=2026):
    "(N,) bool: which labelled tiles of a survey are kept out; tiles that touch stay together"
    return make_folds(survey.train, 5, seed, survey_groups(survey)) == 4

def save_images(tiles, folder):
    "Write the images of tiles as PNG files"
    folder.mkdir(parents=True, exist_ok=True)
    for id, image in zip(tiles.ids, tiles.images): Image.fromarray(image).save(folder/f'{id}.png')

def copy_tables(survey, folder, learned):
    "Lines of groups.csv and depths.csv for the tiles that are labelled (`learned`), or are there at all"
    train = set(np.array(survey.train.ids)[learned])
    for name, ids in (('groups', train), ('depths', {*survey.ids, *survey.test_ids})):
        if not (survey.path/f'{name}.csv').exists(): continue
        t = read_table(survey.path/f'{name}.csv', ['id'])
        t[t.id.isin(ids)].to_csv(folder/f'{name}.csv', index=False)

def make(data, out):
    "Write the survey to develop on"
    survey = Survey(data)
    kept = kept_out(survey)
    with new_folder(out) as d:
        for name, tiles in (('train', survey.train[~kept]), ('truth', survey.train[kept])):
            masks = d/name/'masks'; masks.mkdir(parents=True)
            save_masks(tiles.ids, tiles.masks, masks, classes=survey.train.n_classes > 1)
        save_images(survey.train[~kept], d/'train'/'images')
        for tiles in [survey.test]*bool(survey.test_ids) + [survey.train[kept]]: save_images(tiles, d/'test'/'images')
        copy_tables(survey, d, ~kept)
    print(f'{(~kept).sum()} labelled tiles, {kept.sum()} kept out')

def grade(out, run):
    "Say what a recipe's submission scores on what was kept out, beside its own estimate"
    run, masks = Path(run), {p.stem: np.array(Image.open(p)) > 0 for p in (Path(out)/'truth'/'masks').glob('*.png')}
    ids = sorted(masks)
    names, preds = read_submission(run/'submission.csv', masks[ids[0]].shape)
    place = {i: k for k, i in enumerate(names)}
    score = score_masks(ids, np.stack([preds[place[i]] for i in ids]), np.stack([masks[i] for i in ids]))
    lost = 1 - score.tiles['score'].to_numpy()
    doubt = pd.read_csv(run/'uncertainty.csv').set_index('id').loc[ids, 'doubt'].to_numpy()
    print(f'{score}\nstandard error {lost.std()/len(ids)**.5:.4f} (tiles taken as independent); '
        f'the most doubtful tenth catches {caught(doubt, lost):.3f}, at best {caught(lost, lost):.3f}')
    print('its own estimate:', json.loads((run/'estimate.json').read_text()))

if __name__ == '__main__': dict(make=make, grade=grade)[sys.argv[1]](*sys.argv[2:])
