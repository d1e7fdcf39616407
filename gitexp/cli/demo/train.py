"""Train a classifier on scikit-learn's handwritten digits: 1,797 images of 8 by 8 pixels."""

# ruff: noqa: T201
import argparse

from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC

SCALE = 1.0
EPOCHS = 8

parser = argparse.ArgumentParser()
parser.add_argument("--model", choices=["logistic", "mlp", "svc"], required=True)
parser.add_argument("--lr", type=float, default=0.01, help="learning rate: logistic, mlp")
parser.add_argument("--gamma", type=float, default=0.1, help="width of the kernel: svc")
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()

images, digits = load_digits(return_X_y=True)
train_x, test_x, train_y, test_y = train_test_split(
    images * SCALE, digits, test_size=0.25, random_state=args.seed
)

if args.model == "svc":
    model = SVC(gamma=args.gamma).fit(train_x, train_y)
else:
    model = (
        MLPClassifier((32,), solver="sgd", learning_rate_init=args.lr, random_state=args.seed)
        if args.model == "mlp"
        else SGDClassifier(
            loss="log_loss", learning_rate="constant", eta0=args.lr, random_state=args.seed
        )
    )
    for epoch in range(EPOCHS):
        model.partial_fit(train_x, train_y, classes=range(10))
        error = 1 - model.score(train_x, train_y)
        print(f"METRIC train_error={error:.4f} step={epoch}")
        if epoch >= 3 and error > 0.8:
            raise SystemExit(f"diverged: {error:.0%} wrong after {epoch + 1} epochs")

print(f"METRIC accuracy={model.score(test_x, test_y):.4f}")
