"""An MLP in PyTorch as scikit-learn estimators: AdamW, minibatches, cosine schedule, dropout."""

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

torch.set_num_threads(1)


class _TorchMLP(BaseEstimator):
    def __init__(
        self,
        hidden=(64, 64),
        learning_rate=3e-3,
        weight_decay=1e-2,
        dropout=0.0,
        steps=300,
        batch=128,
        seed=0,
    ):
        self.hidden = hidden
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.dropout = dropout
        self.steps = steps
        self.batch = batch
        self.seed = seed

    def _train(self, X, target, outputs, loss):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            layers, width = [], X.shape[1]
            for units in self.hidden:
                layers += [torch.nn.Linear(width, units), torch.nn.ReLU(), torch.nn.Dropout(self.dropout)]
                width = units
            self.net_ = torch.nn.Sequential(*layers, torch.nn.Linear(width, outputs))
            self.n_parameters_ = sum(part.numel() for part in self.net_.parameters())
            optimizer = torch.optim.AdamW(
                self.net_.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay
            )
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.steps)
            rows = torch.as_tensor(X, dtype=torch.float32)
            order = torch.empty(0, dtype=torch.long)
            size = min(self.batch, len(rows))
            for _ in range(self.steps):
                if len(order) < size:
                    order = torch.randperm(len(rows))
                chosen, order = order[:size], order[size:]
                optimizer.zero_grad()
                loss(self.net_(rows[chosen]), target[chosen]).backward()
                optimizer.step()
                schedule.step()
        self.net_.eval()
        return self

    def _outputs(self, X):
        with torch.no_grad():
            return self.net_(torch.as_tensor(X, dtype=torch.float32)).double()


class TorchMLPClassifier(ClassifierMixin, _TorchMLP):
    def fit(self, X, y):
        self.classes_, code = np.unique(y, return_inverse=True)
        return self._train(X, torch.as_tensor(code), len(self.classes_), torch.nn.functional.cross_entropy)

    def predict_proba(self, X):
        return torch.softmax(self._outputs(X), dim=1).numpy()

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


class TorchMLPRegressor(RegressorMixin, _TorchMLP):
    def fit(self, X, y):
        self._flat = y.ndim == 1
        target = torch.as_tensor(y.reshape(len(y), -1), dtype=torch.float32)
        return self._train(X, target, target.shape[1], torch.nn.functional.mse_loss)

    def predict(self, X):
        outputs = self._outputs(X).numpy()
        return outputs[:, 0] if self._flat else outputs
