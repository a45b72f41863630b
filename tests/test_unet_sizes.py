"Nets of every kind on images of every size"
import random

import pytest
import torch

from salt_identification.unet import Unet, Unet34

def sizes(seed, n): r = random.Random(seed); return [(r.randint(8, 150), r.randint(8, 150)) for _ in range(n)]

NETS = [lambda: Unet34(n_in=1), lambda: Unet34(n_in=4, n_out=3), lambda: Unet('slim8'), lambda: Unet('slim12', n_in=2, n_out=4, attention='scse', up='shuffle'), lambda: Unet('resnet18', up='transpose', full_res=True),
    lambda: Unet('resnet50', attention='self', convs=1), lambda: Unet('timm/resnet10t', up='shuffle')]

@pytest.mark.parametrize('make', NETS)
def test_any_size(make):
    net = make().eval()
    c = net.config
    for h, w in [(101, 101), *sizes(1, 6)]:
        with torch.no_grad(): y = net(torch.randn(1, c['n_in'], h, w))
        assert y.shape == (1, c['n_out'], h, w) and torch.isfinite(y).all()

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
