"Checks against code that others wrote, and (where they are) against the challenge's own files"
from pathlib import Path

import numpy as np
import pytest

from salt_identification.rle import rle_decode, rle_encode

def coco(mask):
    "pycocotools' uncompressed run lengths (column by column, rock first), as the challenge writes them"
    mask_api = pytest.importorskip('pycocotools.mask')
    back = mask_api.decode(mask_api.encode(np.asfortranarray(mask)))
    flat, runs, start = back.T.ravel(), [], None
    for i, v in enumerate([*flat, 0]):
        if v and start is None: start = i
        if not v and start is not None: runs += [start + 1, i - start]; start = None
    return ' '.join(map(str, runs))

def test_rle_against_pycocotools():
    rng = np.random.default_rng(0)
    for i in range(60):
        h, w = rng.integers(1, 60, 2)
        m = (rng.random((h, w)) < rng.choice([0, .1, .5, .9, 1])).astype(np.uint8)
        assert rle_encode(m) == coco(m)
        assert (rle_decode(coco(m), (h, w)) == m).all()

def loop_precision(pred, true):
    "The challenge's metric by its page, one tile at a time"
    scores = []
    for p, t in zip(pred, true):
        if not t.any(): scores.append(float(not p.any())); continue
        iou = (p & t).sum()/(p | t).sum()
        scores.append(np.mean([iou > th for th in np.arange(.5, 1, .05).round(2)]))
    return np.mean(scores)

def test_metric_against_a_loop():
    from salt_identification.metrics import mean_precision
    rng = np.random.default_rng(1)
    true = rng.random((200, 9, 11)) < rng.choice([0, .3, .7], (200, 1, 1))
    pred = np.where(rng.random((200, 1, 1)) < .5, true ^ (rng.random((200, 9, 11)) < .1), rng.random((200, 9, 11)) < .4)
    assert mean_precision(pred, true) == pytest.approx(loop_precision(pred, true), abs=1e-9)

TGS = Path(__file__).resolve().parent.parent.parent/'shared'/'tgs'

@pytest.mark.skipif(not TGS.exists(), reason='the challenge\'s files are not here')
def test_real_masks_equal_their_run_lengths():
    import pandas as pd
    from salt_identification.tiles import Survey
    s = Survey(TGS)
    table = pd.read_csv(TGS/'train.csv', keep_default_na=False).set_index('id')['rle_mask']
    for id in s.ids[::8]:
        assert (rle_decode(table[id]) == s.mask(id)).all() and rle_encode(s.mask(id)) == table[id]
