"""Facts of the data sets: sizes, classes, the paper's normalisation, source and licence.

mean and std are the numbers of the paper's code (its NORMALIZE_DICT), even where they differ from the statistics of the
images:

    CIFAR-10        std is the mean of the deviations of single images; over all pixels it would be
                    (0.2470, 0.2435, 0.2616)
    SVHN            0.5 throughout, which maps [0, 1] to [-1, 1]
    Tiny-ImageNet   the repositories differ: ours are the numbers of CuDFKD's last commit; the follow-up work has 0.5
                    throughout; other forks have the numbers of ImageNet, (0.485, 0.456, 0.406) and
                    (0.229, 0.224, 0.225); a teacher from elsewhere needs its own numbers

Fashion-MNIST is not in the paper. Its numbers are the statistics of all pixels of its 60,000 training images. At 32
pixels a side, the pixels of the black border are included.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class DataInfo:
    """Facts of a data set. Networks take (x - mean) / std with x in [0, 1]. mean and std have a number a channel."""

    name: str
    num_classes: int
    channels: int
    image_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    classes: tuple[str, ...]
    """names of the classes in the order of the labels; empty for Tiny-ImageNet: its file words.txt has the names"""
    source: str
    licence: str


FASHION_MNIST = DataInfo(
    name="fashion-mnist",
    num_classes=10,
    channels=1,
    image_size=28,
    mean=(0.2860,),
    std=(0.3530,),
    classes=("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"),
    source="Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017), github.com/zalandoresearch/fashion-mnist",
    licence="MIT, Copyright (c) 2017 Zalando SE",
)
FASHION_MNIST_32 = replace(FASHION_MNIST, name="fashion-mnist-32", image_size=32, mean=(0.2190,), std=(0.3318,))
CIFAR10 = DataInfo(
    name="cifar10",
    num_classes=10,
    channels=3,
    image_size=32,
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2023, 0.1994, 0.2010),
    classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    source="CIFAR-10 (Krizhevsky, 2009), www.cs.toronto.edu/~kriz/cifar.html",
    licence="none stated; its page asks users to cite the technical report",
)
_CIFAR100_CLASSES = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish
forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle
mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar
sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle wardrobe whale
willow_tree wolf woman worm
"""
CIFAR100 = DataInfo(
    name="cifar100",
    num_classes=100,
    channels=3,
    image_size=32,
    mean=(0.5071, 0.4867, 0.4408),
    std=(0.2675, 0.2565, 0.2761),
    classes=tuple(_CIFAR100_CLASSES.split()),
    source="CIFAR-100, fine labels (Krizhevsky, 2009), www.cs.toronto.edu/~kriz/cifar.html",
    licence="none stated; its page asks users to cite the technical report",
)
SVHN = DataInfo(
    name="svhn",
    num_classes=10,
    channels=3,
    image_size=32,
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
    classes=tuple("0123456789"),
    source="Street View House Numbers, cropped digits (Netzer et al., 2011), ufldl.stanford.edu/housenumbers",
    licence="for non-commercial use only, says its page",
)
TINY_IMAGENET = DataInfo(
    name="tiny-imagenet",
    num_classes=200,
    channels=3,
    image_size=64,
    mean=(0.4802, 0.4481, 0.3975),
    std=(0.2302, 0.2265, 0.2262),
    classes=(),
    source="Tiny-ImageNet-200 (Stanford CS231n), 64 x 64 pixel versions of images of ImageNet (Deng et al., 2009)",
    licence="none stated; ImageNet's terms: non-commercial research and education only",
)
