"What fastai's own calls make of our loaders, losses and learners"
import fastai.vision.learner # what draws pictures
import pytest
from fastai.data.block import DataBlock
from fastai.data.transforms import get_image_files
from fastai.interpret import Interpretation
from fastai.learner import Learner
from fastai.vision.core import PILImageBW
from fastai.vision.data import ImageBlock, MaskBlock

from salt_identification.data import salt_dataloaders
from salt_identification.files import SaltError
from salt_identification.learner import salt_learner
from salt_identification.losses import make_loss
from salt_identification.synth import synth_survey
from salt_identification.unet import Unet

@pytest.fixture(scope='module', params=[1, 3])
def learn(tmp_path_factory, request):
    "A learner for salt, and one for three classes"
    path = tmp_path_factory.mktemp('fastai')/'survey'
    survey = synth_survey(path, n=16, n_test=3, seed=1, size=32, n_classes=request.param)
    learn = salt_learner(salt_dataloaders(survey, bs=4, grouped=False, device='cpu'), 'slim4')
    with learn.no_bar(): yield learn

def test_interpretation(learn):
    "The worst tiles, and the drawing of some"
    found = Interpretation.from_learner(learn)
    assert len(found.losses) == len(learn.dls.valid_tiles)
    found.plot_top_losses(2)
    found.show_results([0, 2])

def test_no_masks(learn):
    "Tiles without a truth are predicted and drawn"
    test = learn.dls.test_dl(learn.dls.survey.test)
    learn.show_results(dl=test)
    assert learn.get_preds(dl=test)[0].shape == (3, learn.dls.n_out, 32, 32)

def test_own_loaders(tmp_path):
    "fastai reads the challenge's masks as 0 and 255: a loss says so before it learns from them"
    path = synth_survey(tmp_path/'survey', n=8, n_test=1, seed=1, size=32).path/'train'
    block = DataBlock((ImageBlock(PILImageBW), MaskBlock(['rock', 'salt'])), get_items=get_image_files,
        get_y=lambda f: path/'masks'/f.name)
    learn = Learner(block.dataloaders(path/'images', bs=4, device='cpu'), Unet('slim4'), loss_func=make_loss('bce'))
    with learn.no_bar(), learn.no_logging(), pytest.raises(SaltError, match='masks hold 255'): learn.fit(1)
    learn.loss_func = lambda x, y: make_loss('bce')(x, y > 0)
    with learn.no_bar(), learn.no_logging(): learn.fit(1)
    assert all(p.isfinite().all() for p in learn.model.parameters())
