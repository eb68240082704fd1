"""Our ResNet taken apart, for tests of scores that look at its layers."""

import torch


def layers(network):
    """The network as modules, each of which takes what the one before gives: to the map of each layer, then the head."""
    stem = torch.nn.Sequential(network.conv1, network.bn1, network.relu, network.maxpool, network.layer1)
    enter = torch.nn.Module()
    enter.forward = lambda x: stem((x - network.mean) / network.std)
    return [enter, network.layer2, network.layer3, network.layer4], torch.nn.Sequential(network.avgpool, torch.nn.Flatten(), network.fc)
