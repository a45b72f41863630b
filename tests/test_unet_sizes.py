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
    lambda: Unet('resnet18', up='transpose', full_res=True), lambda: Unet('resnet50', attention='self', convs=1)]

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
