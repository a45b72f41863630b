"Nets of every kind on images of every size"
import random

import pytest
import torch

from salt_identification.files import SaltError
from salt_identification.unet import Unet, Unet34

def sizes(seed, n):
    r = random.Random(seed)
    return [(r.randint(1, 150), r.randint(1, 150)) for _ in range(n)]

NETS = [lambda: Unet34(n_in=1), lambda: Unet34(n_in=4, n_out=3), lambda: Unet('slim8'),
    lambda: Unet('slim12', n_in=2, n_out=4, attention='scse', up='shuffle'),
    lambda: Unet('resnet18', up='transpose', full_res=True), lambda: Unet('resnet50', attention='self', convs=1),
    lambda: Unet('slim8', n_out=3, hypercolumn=True, deep=True, coords=True),
    lambda: Unet('resnet18', full_res=True, hypercolumn=True, zoom=1.5)]

FAMILIES = ('resnet10t', 'efficientnet_b0', 'tf_efficientnet_lite0', 'mobilenetv3_small_050', 'convnext_atto',
    'regnetx_002', 'hrnet_w18_small', 'densenet121', 'vgg11_bn', 'dla34', 'mobilevit_xxs', 'fastvit_t8', 'pvt_v2_b0')
FLAT = ('vit_tiny_patch16_224', 'swin_tiny_patch4_window7_224', 'xcit_nano_12_p16_224', 'mixer_s16_224')

def check(net):
    net, c = net.eval(), net.config
    for h, w in [(101, 101), (1, 1), (32, 64), *sizes(1, 5)]:
        with torch.no_grad(): y = net(torch.randn(2, c['n_in'], h, w))
        assert y.shape == (2, c['n_out'], h, w) and torch.isfinite(y).all()

@pytest.mark.parametrize('make', NETS)
def test_any_size(make): check(make())

@pytest.mark.parametrize('name', FAMILIES)
def test_any_size_with_timm(name):
    pytest.importorskip('timm')
    check(Unet(f'timm/{name}', n_in=2, n_out=3))

@pytest.mark.parametrize('name', FLAT)
def test_encoders_without_maps_are_refused(name):
    pytest.importorskip('timm')
    with pytest.raises(SaltError, match=f'encoder {name} has no feature maps of several sizes'): Unet(name)

def test_every_pixel_counts():
    "Also the last row and column of an odd size, whatever the encoder rounds"
    pytest.importorskip('timm')
    for name in ('slim8', 'convnext_atto', 'tf_efficientnet_lite0'):
        torch.manual_seed(0)
        net, x = Unet(name).eval(), torch.randn(1, 1, 65, 65, requires_grad=True)
        net(x).square().sum().backward()
        for edge in (x.grad[...,-1], x.grad[...,-1,:]): assert (edge != 0).float().mean() > .9, name

@pytest.mark.parametrize('name', ['resnet34', 'timm/resnet34'])
def test_weights_as_torchvision_saves_them(name, tmp_path):
    import torchvision
    if name.startswith('timm'): pytest.importorskip('timm')
    source = torchvision.models.resnet34()
    torch.save(source.state_dict(), tmp_path/'r34.pth')
    net = Unet(name, n_in=1, weights=tmp_path/'r34.pth')
    state = net.encoder.state_dict()
    key = next(k for k in state if k.endswith('layer4.2.conv2.weight'))
    assert torch.equal(state[key], source.layer4[2].conv2.weight)
    torch.save(net.state_dict(), tmp_path/'own.pth')
    again = Unet(name, n_in=1, weights=tmp_path/'own.pth')
    assert torch.equal(again.encoder.state_dict()[key], state[key])

def test_batches_do_not_mix():
    net, x = Unet('slim16').eval(), torch.randn(3, 1, 77, 101)
    with torch.no_grad(): torch.testing.assert_close(net(x), torch.cat([net(o[None]) for o in x]), atol=1e-4, rtol=1e-4)

def test_every_pixel_sees_the_image():
    "The gradient of the central logit reaches the image, and a shifted image gives a shifted answer (in the middle)"
    net = Unet('slim16').eval()
    x = torch.randn(1, 1, 96, 96, requires_grad=True)
    net(x)[0,0,48,48].backward()
    assert (x.grad.abs().sum((0,1)) > 0).float().mean() > .2
    with torch.no_grad():
        y = torch.randn(1, 1, 256, 256)
        a, b = net(y[..., :224, :224]), net(y[..., 32:, 32:])
        torch.testing.assert_close(a[..., 112:128, 112:128], b[..., 80:96, 80:96], atol=.2, rtol=.2)

ZOOMS = [(.25, {}), (1.27, dict(attention='scse')), (2, dict(n_out=3)), (3, dict(full_res=True, n_in=2)), (8, {})]

@pytest.mark.parametrize('zoom,kw', ZOOMS)
def test_zoom_keeps_the_size(zoom, kw):
    net = Unet('slim8', zoom=zoom, **kw).eval()
    for h, w in [(1, 1), (2, 9), (33, 20), (50, 51)]:
        with torch.no_grad(): y = net(torch.randn(2, kw.get('n_in', 1), h, w))
        assert y.shape == (2, kw.get('n_out', 1), h, w) and torch.isfinite(y).all()

@pytest.mark.parametrize('zoom', [.5, 1, 2.1])
@pytest.mark.parametrize('half', [False, True])
def test_zoom_trains_in_any_layout(zoom, half):
    "A gradient for every parameter and pixel, channels last and in half precision as well"
    torch.manual_seed(0)
    net = Unet('slim8', n_in=2, n_out=2, zoom=zoom)
    grads = []
    x = torch.randn(2, 2, 45, 38)
    for layout in (torch.contiguous_format, torch.channels_last):
        net.to(memory_format=layout).zero_grad()
        seen = x.clone().to(memory_format=layout).requires_grad_()
        with torch.autocast('cpu', torch.bfloat16, enabled=half): y = net(seen)
        assert y.dtype == (torch.bfloat16 if half else torch.float32)
        y.float().square().mean().backward()
        assert all(p.grad.abs().sum() > 0 for p in net.parameters())
        assert (seen.grad != 0).float().mean() > .9
        grads.append(net.head.logits[0].weight.grad)
    torch.testing.assert_close(*grads, atol=.05 if half else 1e-4, rtol=.1 if half else 1e-3)

def test_zoom_in_the_graphs_of_torch():
    net, x = Unet('slim8', zoom=1.5).eval(), torch.randn(2, 1, 33, 40)
    graph = torch.export.export(net, (x,), dynamic_shapes=({0: torch.export.Dim('batch', min=1, max=64)},)).module()
    compiled = torch.compile(net, backend='eager', fullgraph=True)
    with torch.no_grad():
        torch.testing.assert_close(graph(x[:1]), net(x[:1]), atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(compiled(x), net(x), atol=1e-4, rtol=1e-4)

def test_runs_keep_their_zoom(tmp_path):
    "A run says its zoom; one that says nothing, as those of older versions, means 1"
    import json
    from salt_identification.learner import load_run, train_run
    from salt_identification.synth import synth_survey
    synth_survey(tmp_path/'survey', n=20, n_test=2, seed=1)
    train_run(tmp_path/'survey', tmp_path/'run', steps=1, bs=8, net='slim4', zoom=.5, quiet=True, device='cpu')
    file, x = tmp_path/'run'/'config.json', torch.randn(1, 1, 101, 101)
    new = load_run(tmp_path/'run', device='cpu').model.eval()
    config = json.loads(file.read_text())
    assert config['net']['config'].pop('zoom') == new.zoom == .5 and config['net']['config'].pop('drop_path') == 0
    file.write_text(json.dumps(config))
    old = load_run(tmp_path/'run', device='cpu').model.eval()
    assert old.zoom == 1
    with torch.no_grad(): assert (old(x) - new(x)).abs().max() > 1e-4
    new.zoom = 1
    with torch.no_grad(): assert torch.equal(old(x), new(x))

def test_heads_of_steps_learn_and_stay_silent(tmp_path):
    "Heads of the steps learn with the net, are kept with the run, and change nothing that it says"
    from salt_identification.learner import load_run, train_run
    from salt_identification.synth import synth_survey
    from salt_identification.training import DeepSupervision
    survey, run = synth_survey(tmp_path/'survey', n=80, n_test=2, seed=1, size=48), tmp_path/'run'
    args = dict(bs=8, net='slim8', deep=True, hypercolumn=True, quiet=True, device='cpu', precision='float32',
        ema=0., lr=1e-2)
    learn = train_run(survey, run, steps=80, cbs=[DeepSupervision(presence=1.)], **args)
    assert learn.model.deep.given is None and sum(isinstance(c, DeepSupervision) for c in learn.cbs) == 1
    said = {}
    for x, y in learn.dls.train:
        learn.model.train()
        with torch.no_grad(): learn.model(x.as_subclass(torch.Tensor))
        presence, _, _ = learn.model.deep.given
        said.setdefault('salt', []).append(presence[:,0][y.flatten(1).any(1)])
        said.setdefault('rock', []).append(presence[:,0][~y.flatten(1).any(1)])
    salt, rock = (torch.cat(said[k]).mean() for k in ('salt', 'rock'))
    assert salt > rock
    again = load_run(run, device='cpu').model
    plain = Unet(**again.config | dict(deep=False))
    plain.load_state_dict({k: v for k, v in again.state_dict().items() if not k.startswith('deep.')})
    x = torch.randn(2, 1, 48, 48)
    with torch.no_grad(): assert torch.equal(again.eval()(x), plain.eval()(x))

@pytest.mark.parametrize('safe', [False, True])
def test_each_known_encoder_is_guessed(safe, tmp_path):
    "From the file of its classifier; or the first of its twins"
    timm = pytest.importorskip('timm')
    from safetensors.torch import save_file
    from salt_identification.unet import KNOWN_ENCODERS, guess_encoder
    twins = dict(efficientnet_lite0='tf_efficientnet_lite0', efficientnet_b0='tf_efficientnet_b0')
    for name in KNOWN_ENCODERS:
        with torch.device('meta'): state = timm.create_model(name).state_dict()
        state = {k: torch.zeros_like(v, device='cpu') for k, v in state.items()}
        path = tmp_path/('w.safetensors' if safe else 'w.pth')
        save_file(state, path) if safe else torch.save(state, path)
        assert guess_encoder(path) == twins.get(name, name)

@pytest.mark.parametrize('name', ['resnet152', 'wide_resnet50_2', 'efficientnet_b1', 'vgg11_bn', 'densenet121'])
def test_other_encoders_are_not_guessed(name, tmp_path):
    timm = pytest.importorskip('timm')
    from salt_identification.unet import guess_encoder
    with torch.device('meta'): state = timm.create_model(name).state_dict()
    torch.save({k: torch.zeros_like(v, device='cpu') for k, v in state.items()}, tmp_path/'w.pth')
    with pytest.raises(SaltError, match='pass net=NAME'): guess_encoder(tmp_path/'w.pth')

@pytest.mark.parametrize('name', ['slim8', 'timm/resnet18', 'tf_efficientnet_lite0', 'convnext_atto', 'regnety_002'])
def test_stochastic_depth_is_for_training(name):
    "Blocks are skipped in training, none in evaluation, and the state is that of the net without it"
    if not name.startswith('slim'): pytest.importorskip('timm')
    torch.manual_seed(0)
    deep, plain, x = Unet(name, drop_path=.6), Unet(name), torch.randn(4, 1, 64, 64)
    for p in deep.encoder.parameters():
        if p.ndim == 1: p.data.fill_(1)
    plain.load_state_dict(deep.state_dict())
    with torch.no_grad():
        assert torch.equal(deep.eval()(x), plain.eval()(x))
        assert torch.equal(plain.train()(x), plain(x))
        assert (deep.train()(x) - deep(x)).abs().max() > 1e-3
        plain.load_state_dict(deep.state_dict())
        assert torch.equal(deep.eval()(x), plain.eval()(x))

@pytest.mark.parametrize('name', ['resnet34', 'vgg11_bn', 'densenet121', 'hrnet_w18_small', 'dla34'])
def test_stochastic_depth_is_refused_where_nothing_can_be_skipped(name):
    pytest.importorskip('timm')
    with pytest.raises(SaltError, match=f'encoder {name} takes no drop_path'): Unet(name, drop_path=.1)
