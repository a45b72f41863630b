"Every kind of net says the same in another program"
import numpy as np
import pytest
import torch

ort, ov = pytest.importorskip('onnxruntime'), pytest.importorskip('openvino')
pytest.importorskip('onnxscript')
from salt_identification import export
from salt_identification.unet import Unet, Unet34

NETS = {'unet34': (lambda: Unet34(n_in=1), 1, (64,64)),
    'resnet18, self-attention, '
    'full size': (lambda: Unet('resnet18', full_res=True, up='shuffle', attention='self'), 1, (101,101)),
    'efficientnet, scSE, four classes': (lambda: Unet('tf_efficientnet_lite0', 3, 4, attention='scse'), 3, (128,96)),
    'mirrored, enlarged, '
    'with heads on its steps': (lambda: Unet('slim8', pad=5, zoom=1.27, hypercolumn=True, deep=True, coords=True),
    1, (51,49))}

@pytest.mark.parametrize('name', NETS)
def test_a_net_is_the_same_net(name, tmp_path):
    make, n_in, size = NETS[name]
    if 'efficientnet' in name: pytest.importorskip('timm')
    torch.manual_seed(0)
    net, path = make().eval(), tmp_path/'model.onnx'
    export._write_onnx(net, size, n_in, path)
    x = torch.randn(3, n_in, *size)
    with torch.no_grad(): ours = net(x)
    for to, most in (('onnx', 1e-4), ('openvino', 5e-3)):
        fn = export._OPEN[to](path)
        said = torch.as_tensor(fn(x.numpy()))
        assert said.shape == ours.shape and abs(torch.sigmoid(said) - torch.sigmoid(ours)).max() < most
        with pytest.raises(Exception): fn(np.zeros((1, n_in, size[0] + 1, size[1]), np.float32))
