"""Tensor names in third-party StyleGAN2 checkpoints: their name, our name, and the conversion of the tensor.

N is a number, [word/] is optional, and `-` marks tensors that are dropped. Our names use {n} for N, {before} for N - 1 and
{after} for N + 1; if N is the side of a resolution, {double} and {same} are its layers, {picture} its ToRGB, and {block} its
block in the discriminator.
"""

ROSINALITY_GENERATOR = """
style.N.weight                      mapping.layers.{before}.weight
style.N.bias                        mapping.layers.{before}.bias
input.input                         synthesis.constant
noises.noise_N                      synthesis.layers.{n}.noise
conv1.conv.weight                   synthesis.layers.0.convolution.weight             first
conv1.conv.modulation.weight        synthesis.layers.0.convolution.style.weight
conv1.conv.modulation.bias          synthesis.layers.0.convolution.style.bias
conv1.noise.weight                  synthesis.layers.0.noise_strength                 scalar
conv1.activate.bias                 synthesis.layers.0.bias
convs.N.conv.weight                 synthesis.layers.{after}.convolution.weight       first
convs.N.conv.modulation.weight      synthesis.layers.{after}.convolution.style.weight
convs.N.conv.modulation.bias        synthesis.layers.{after}.convolution.style.bias
convs.N.noise.weight                synthesis.layers.{after}.noise_strength           scalar
convs.N.activate.bias               synthesis.layers.{after}.bias
convs.N.conv.blur.kernel            -                                                 filter
to_rgb1.conv.weight                 synthesis.to_rgb.0.convolution.weight             first
to_rgb1.conv.modulation.weight      synthesis.to_rgb.0.convolution.style.weight
to_rgb1.conv.modulation.bias        synthesis.to_rgb.0.convolution.style.bias
to_rgb1.bias                        synthesis.to_rgb.0.bias                           flat
to_rgbs.N.conv.weight               synthesis.to_rgb.{after}.convolution.weight       first
to_rgbs.N.conv.modulation.weight    synthesis.to_rgb.{after}.convolution.style.weight
to_rgbs.N.conv.modulation.bias      synthesis.to_rgb.{after}.convolution.style.bias
to_rgbs.N.bias                      synthesis.to_rgb.{after}.bias                     flat
to_rgbs.N.upsample.kernel           -                                                 filter
"""

ROSINALITY_DISCRIMINATOR = """
convs.0.0.weight                    from_rgb.convolution.weight
convs.0.1.bias                      from_rgb.bias
convs.N.conv1.0.weight              blocks.{before}.first.convolution.weight
convs.N.conv1.1.bias                blocks.{before}.first.bias
convs.N.conv2.0.kernel              -                                                 filter
convs.N.conv2.1.weight              blocks.{before}.second.convolution.weight
convs.N.conv2.2.bias                blocks.{before}.second.bias
convs.N.skip.0.kernel               -                                                 filter
convs.N.skip.1.weight               blocks.{before}.shortcut.weight
final_conv.0.weight                 final.convolution.weight
final_conv.1.bias                   final.bias
final_linear.0.weight               hidden.weight
final_linear.0.bias                 hidden.bias
final_linear.1.weight               logit.weight
final_linear.1.bias                 logit.bias
"""

NVLABS_GENERATOR = """
mapping.fcN.weight                  mapping.layers.{n}.weight
mapping.fcN.bias                    mapping.layers.{n}.bias
mapping.w_avg                       -
synthesis.b4.const                  synthesis.constant                                add
synthesis.bN.conv0.weight           synthesis.layers.{double}.convolution.weight
synthesis.bN.conv0.affine.weight    synthesis.layers.{double}.convolution.style.weight
synthesis.bN.conv0.affine.bias      synthesis.layers.{double}.convolution.style.bias
synthesis.bN.conv0.noise_strength   synthesis.layers.{double}.noise_strength          scalar
synthesis.bN.conv0.noise_const      synthesis.layers.{double}.noise                   picture
synthesis.bN.conv0.bias             synthesis.layers.{double}.bias
synthesis.bN.conv0.resample_filter  -                                                 filter
synthesis.bN.conv1.weight           synthesis.layers.{same}.convolution.weight
synthesis.bN.conv1.affine.weight    synthesis.layers.{same}.convolution.style.weight
synthesis.bN.conv1.affine.bias      synthesis.layers.{same}.convolution.style.bias
synthesis.bN.conv1.noise_strength   synthesis.layers.{same}.noise_strength            scalar
synthesis.bN.conv1.noise_const      synthesis.layers.{same}.noise                     picture
synthesis.bN.conv1.bias             synthesis.layers.{same}.bias
synthesis.bN.conv1.resample_filter  -                                                 filter
synthesis.bN.torgb.weight           synthesis.to_rgb.{picture}.convolution.weight
synthesis.bN.torgb.affine.weight    synthesis.to_rgb.{picture}.convolution.style.weight
synthesis.bN.torgb.affine.bias      synthesis.to_rgb.{picture}.convolution.style.bias
synthesis.bN.torgb.bias             synthesis.to_rgb.{picture}.bias
synthesis.bN.resample_filter        -                                                 filter
"""

NVLABS_DISCRIMINATOR = """
bN.fromrgb.weight                   from_rgb.convolution.weight
bN.fromrgb.bias                     from_rgb.bias
bN.fromrgb.resample_filter          -                                                 filter
bN.conv0.weight                     blocks.{block}.first.convolution.weight
bN.conv0.bias                       blocks.{block}.first.bias
bN.conv0.resample_filter            -                                                 filter
bN.conv1.weight                     blocks.{block}.second.convolution.weight
bN.conv1.bias                       blocks.{block}.second.bias
bN.conv1.resample_filter            -                                                 filter
bN.skip.weight                      blocks.{block}.shortcut.weight
bN.skip.resample_filter             -                                                 filter
bN.resample_filter                  -                                                 filter
b4.conv.weight                      final.convolution.weight
b4.conv.bias                        final.bias
b4.conv.resample_filter             -                                                 filter
b4.fc.weight                        hidden.weight
b4.fc.bias                          hidden.bias
b4.out.weight                       logit.weight
b4.out.bias                         logit.bias
"""

# Convolutions are (k, k, in, out), linear layers (in, out); kernels of upsampling layers are flipped; style biases omit the 1.
TENSORFLOW_GENERATOR = """
[G_mapping/]DenseN/weight           mapping.layers.{n}.weight                         linear
[G_mapping/]DenseN/bias             mapping.layers.{n}.bias
dlatent_avg                         -
lod                                 -
[G_synthesis/]lod                   -
[G_synthesis/]noiseN                synthesis.layers.{n}.noise
[G_synthesis/]4x4/Const/const       synthesis.constant
[G_synthesis/]4x4/Conv/weight       synthesis.layers.0.convolution.weight             kernel
[G_synthesis/]4x4/Conv/mod_weight   synthesis.layers.0.convolution.style.weight       linear
[G_synthesis/]4x4/Conv/mod_bias     synthesis.layers.0.convolution.style.bias         one
[G_synthesis/]4x4/Conv/noise_strength synthesis.layers.0.noise_strength               scalar
[G_synthesis/]4x4/Conv/bias         synthesis.layers.0.bias
[G_synthesis/]NxN/Conv0_up/weight   synthesis.layers.{double}.convolution.weight      turned
[G_synthesis/]NxN/Conv0_up/mod_weight synthesis.layers.{double}.convolution.style.weight linear
[G_synthesis/]NxN/Conv0_up/mod_bias synthesis.layers.{double}.convolution.style.bias  one
[G_synthesis/]NxN/Conv0_up/noise_strength synthesis.layers.{double}.noise_strength    scalar
[G_synthesis/]NxN/Conv0_up/bias     synthesis.layers.{double}.bias
[G_synthesis/]NxN/Conv1/weight      synthesis.layers.{same}.convolution.weight        kernel
[G_synthesis/]NxN/Conv1/mod_weight  synthesis.layers.{same}.convolution.style.weight  linear
[G_synthesis/]NxN/Conv1/mod_bias    synthesis.layers.{same}.convolution.style.bias    one
[G_synthesis/]NxN/Conv1/noise_strength synthesis.layers.{same}.noise_strength         scalar
[G_synthesis/]NxN/Conv1/bias        synthesis.layers.{same}.bias
[G_synthesis/]NxN/ToRGB/weight      synthesis.to_rgb.{picture}.convolution.weight     kernel
[G_synthesis/]NxN/ToRGB/mod_weight  synthesis.to_rgb.{picture}.convolution.style.weight linear
[G_synthesis/]NxN/ToRGB/mod_bias    synthesis.to_rgb.{picture}.convolution.style.bias one
[G_synthesis/]NxN/ToRGB/bias        synthesis.to_rgb.{picture}.bias
"""

TENSORFLOW_DISCRIMINATOR = """
lod                                 -
NxN/FromRGB/weight                  from_rgb.convolution.weight                       kernel
NxN/FromRGB/bias                    from_rgb.bias
NxN/Conv0/weight                    blocks.{block}.first.convolution.weight           kernel
NxN/Conv0/bias                      blocks.{block}.first.bias
NxN/Conv1_down/weight               blocks.{block}.second.convolution.weight          kernel
NxN/Conv1_down/bias                 blocks.{block}.second.bias
NxN/Skip/weight                     blocks.{block}.shortcut.weight                    kernel
4x4/Conv/weight                     final.convolution.weight                          kernel
4x4/Conv/bias                       final.bias
4x4/Dense0/weight                   hidden.weight                                     linear
4x4/Dense0/bias                     hidden.bias
Output/weight                       logit.weight                                      linear
Output/bias                         logit.bias
"""
