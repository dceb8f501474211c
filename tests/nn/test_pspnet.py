"""PSPNet: the layout of the published weights, its strides, and its pyramid pooling."""

import torch

from deep3dmap.nn.pspnet import Bottleneck, PSPNet, PyramidPooling


def test_names_and_sizes_are_those_of_the_published_weights() -> None:
    network = PSPNet(21)
    state = network.state_dict()
    sizes = {
        "layer0.0.weight": (64, 3, 3, 3),
        "layer0.6.weight": (128, 64, 3, 3),
        "layer1.0.downsample.0.weight": (256, 128, 1, 1),
        "layer2.3.conv2.weight": (128, 128, 3, 3),
        "layer3.5.bn3.running_var": (1024,),
        "layer4.2.conv3.weight": (2048, 512, 1, 1),
        "ppm.features.3.1.weight": (512, 2048, 1, 1),
        "cls.0.weight": (512, 4096, 3, 3),
        "cls.4.bias": (21,),
    }
    assert {name: tuple(state[name].shape) for name in sizes} == sizes
    # ResNet-50 without its last layer, with three convolutions in place of the first and twice the channels after them.
    trunk = sum(value.numel() for name, value in network.named_parameters() if name.startswith("layer"))
    stem = 9 * (3 * 64 + 64 * 64 + 64 * 128) + 2 * (64 + 64 + 128)
    assert trunk == 23_508_032 - (49 * 3 * 64 + 2 * 64) + stem + 64 * 64 + 64 * 256


def test_features_are_at_an_eighth_and_labels_at_every_pixel() -> None:
    torch.manual_seed(0)
    network = PSPNet(5).eval()
    with torch.no_grad():
        images = torch.rand(1, 3, 57, 73)
        assert network(images).shape == (1, 5, 8, 10)
        labels = network.labels(images)
    assert labels.shape == (1, 57, 73)
    assert labels.max() < 5


def test_a_dilated_block_sees_as_far_as_it_says() -> None:
    torch.manual_seed(0)
    block = Bottleneck(128, 32, dilation=4).eval()
    picture = torch.full((1, 128, 17, 17), 0.1)
    before = block(picture)
    picture[:, :, 8, 8] = 1
    changed = (block(picture) - before).abs().sum(1)[0] > 0
    rows, columns = changed.nonzero().unbind(1)
    assert set(rows.tolist()) <= {4, 8, 12}
    assert set(columns.tolist()) <= {4, 8, 12}
    assert changed[4, 12]


def test_the_pyramid_holds_the_features_and_the_mean_of_the_whole() -> None:
    torch.manual_seed(0)
    pyramid = PyramidPooling().eval()
    features = torch.rand(1, 2048, 6, 6)
    with torch.no_grad():
        found = pyramid(features)
    assert torch.equal(found[:, :2048], features)
    whole = found[:, 2048:2560]
    # A single bin: constant over the image.
    assert torch.equal(whole, whole[..., :1, :1].expand_as(whole))
    assert not torch.equal(found[:, -512:], found[:, -512:, :1, :1].expand(-1, -1, 6, 6))
