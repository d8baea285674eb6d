#include "geometry/subdivision.hpp"

#include <Eigen/Dense>
#include <cmath>

#include "geometry/cells.hpp"
#include "geometry/double_description.hpp"

namespace pathrelu {
namespace {

constexpr Index kPolledCuts = 256;  ///< cuts of a cone between two polls: some milliseconds

/// A cell of the leaf weights of one subtree.
struct Piece {
    PolyhedralCone cone;
    Matrix pre;                               // (rows, dim) pre-activations of its root, linear on the cell
    std::vector<std::vector<Bits>> patterns;  // of its units, layer by layer
    std::vector<std::vector<std::int8_t>> edge_signs;  // below its root, layer by layer
};

class Subdivision {
  public:
    Subdivision(const Lines& lines, Index most, const Poll& poll)
        : lines_(lines), most_(most), poll_(poll), n_(static_cast<Index>(lines.line.size())) {}

    Cells cells(const TreeShape& shape) {
        std::vector<Piece> pieces = leaves();
        for (const Index children : shape.width()) pieces = parents(pieces, children);
        Cells out = empty_cells(lines_, shape);
        for (const Piece& piece : pieces) {
            Vector center = Vector::Zero(piece.pre.cols());
            for (const PolyhedralCone::Ray& ray : piece.cone.rays) center += ray.v;
            center.normalize();
            out.weights.insert(out.weights.end(), center.data(), center.data() + center.size());
            for (const auto& layer : piece.patterns)
                for (const Bits& bits : layer)
                    out.arrangements.patterns.insert(out.arrangements.patterns.end(), bits.begin(),
                                                     bits.end());
            for (const auto& layer : piece.edge_signs)
                out.arrangements.signs.insert(out.arrangements.signs.end(), layer.begin(), layer.end());
        }
        return out;
    }

  private:
    void poll_now_and_then() {
        if (poll_ && ++calls_ % kPolledCuts == 0) poll_();
    }

    static void set_bit(Bits& bits, Index i) { bits[i / 64] |= std::uint64_t{1} << (i % 64); }

    /// The cells of the rows' hyperplanes, the zero pattern among them.
    std::vector<Piece> leaves() {
        const Index m = lines_.size(), r = lines_.dim;
        refuse_more_than(most_regions(m, r), most_, "up to ");
        const Eigen::Map<const Matrix> normals(lines_.unit.data(), r, m);
        // r independent normals, far from each other.
        const Eigen::ColPivHouseholderQR<Matrix> qr(normals);
        const auto& pivot = qr.colsPermutation().indices();
        Matrix N(r, r);
        for (Index k = 0; k < r; ++k) N.row(k) = normals.col(pivot[k]).transpose();
        const Matrix inverse = N.inverse();

        struct Cell {
            PolyhedralCone cone;
            std::vector<char> positive;  // by line
        };
        std::vector<Cell> cells;
        for (Index code = 0; code < Index{1} << r; ++code) {
            Cell cell{{}, std::vector<char>(m, 0)};
            cell.cone.constraints = r;
            for (Index k = 0; k < r; ++k) {
                const bool positive = code >> k & 1;
                cell.positive[pivot[k]] = positive;
                Bits tight(1, ((std::uint64_t{1} << r) - 1) & ~(std::uint64_t{1} << k));
                const Vector ray = (positive ? 1 : -1) * inverse.col(k);
                cell.cone.rays.push_back({ray.normalized(), std::move(tight)});
            }
            cells.push_back(std::move(cell));
        }
        for (Index k = r; k < m; ++k) {
            std::vector<Cell> next;
            for (Cell& cell : cells) {
                poll_now_and_then();
                ConeCut parts = cut(cell.cone, normals.col(pivot[k]));
                if (parts.negative) next.push_back({std::move(*parts.negative), cell.positive});
                if (parts.positive) {
                    next.push_back({std::move(*parts.positive), std::move(cell.positive)});
                    next.back().positive[pivot[k]] = 1;
                }
            }
            cells = std::move(next);
        }
        Matrix rows = Matrix::Zero(n_, r);
        for (Index i = 0; i < n_; ++i)
            if (lines_.line[i] >= 0) rows.row(i) = lines_.factor[i] * normals.col(lines_.line[i]).transpose();
        std::vector<Piece> out;
        for (Cell& cell : cells) {
            Bits bits((n_ + 63) / 64, 0);
            for (Index i = 0; i < n_; ++i)
                if (lines_.line[i] >= 0 && (lines_.factor[i] > 0) == (cell.positive[lines_.line[i]] != 0))
                    set_bit(bits, i);
            out.push_back({std::move(cell.cone), rows, {{std::move(bits)}}, {}});
        }
        return out;
    }

    /// The cells of trees with a new root above `children` trees, up to the order of siblings.
    std::vector<Piece> parents(const std::vector<Piece>& child, Index children) {
        // Each choice of children and signs has at least one cell.
        double choices = 0;
        const auto multisets = [&](Index k) {
            double count = 1;
            for (Index j = 0; j < k; ++j)
                count *=
                    (static_cast<double>(child.size()) + static_cast<double>(j)) / static_cast<double>(j + 1);
            return std::round(count);
        };
        for (Index plus = 1; plus <= children; ++plus)
            choices += multisets(plus) * multisets(children - plus);
        refuse_more_than(choices, most_, "at least ");

        std::vector<Piece> out;
        std::vector<Index> chosen(children);
        for (Index plus = 1; plus <= children; ++plus) {
            std::fill(chosen.begin(), chosen.end(), 0);
            for (;;) {
                add(child, chosen, plus, out);
                refuse_more_than(static_cast<double>(out.size()), most_, "at least ");
                // The next choice that does not fall inside either sign.
                Index c = children - 1;
                while (c >= 0 && ++chosen[c] == static_cast<Index>(child.size())) --c;
                if (c < 0) break;
                for (Index k = c + 1; k < children; ++k) chosen[k] = k == plus ? 0 : chosen[k - 1];
            }
        }
        return out;
    }

    void add(const std::vector<Piece>& child, const std::vector<Index>& chosen, Index plus,
             std::vector<Piece>& out) {
        const Index children = static_cast<Index>(chosen.size()), dim = child[0].pre.cols();
        Piece joint;
        joint.pre = Matrix::Zero(n_, children * dim);
        joint.patterns.resize(child[0].patterns.size() + 1);
        joint.edge_signs.resize(child[0].patterns.size());
        for (Index c = 0; c < children; ++c) joint.cone.constraints += child[chosen[c]].cone.constraints;
        Index first = 0;
        for (Index c = 0; c < children; ++c) {
            const Piece& part = child[chosen[c]];
            const double sign = c < plus ? 1 : -1;
            const Bits& on = part.patterns.back()[0];
            for (Index i = 0; i < n_; ++i)
                if (on[i / 64] >> (i % 64) & 1u) joint.pre.block(i, c * dim, 1, dim) = sign * part.pre.row(i);
            for (const PolyhedralCone::Ray& ray : part.cone.rays) {
                PolyhedralCone::Ray wide{Vector::Zero(children * dim), {}};
                wide.v.segment(c * dim, dim) = ray.v;
                for (Index k = 0; k < joint.cone.constraints; ++k) {
                    const Index own = k - first;
                    const bool other = own < 0 || own >= part.cone.constraints;
                    if (other || (own / 64 < static_cast<Index>(ray.tight.size()) &&
                                  (ray.tight[own / 64] >> (own % 64) & 1u)))
                        joint.cone.tighten(wide.tight, k);
                }
                joint.cone.rays.push_back(std::move(wide));
            }
            first += part.cone.constraints;
            for (std::size_t l = 0; l < part.patterns.size(); ++l)
                for (const Bits& bits : part.patterns[l]) joint.patterns[l].push_back(bits);
            for (std::size_t l = 0; l < part.edge_signs.size(); ++l)
                for (const std::int8_t s : part.edge_signs[l]) joint.edge_signs[l].push_back(s);
            joint.edge_signs.back().push_back(static_cast<std::int8_t>(sign));
        }
        joint.patterns.back().assign(1, Bits((n_ + 63) / 64, 0));
        std::vector<std::pair<PolyhedralCone, Bits>> cells{{std::move(joint.cone), joint.patterns.back()[0]}};
        for (Index i = 0; i < n_; ++i) {
            std::vector<std::pair<PolyhedralCone, Bits>> next;
            for (auto& [cone, bits] : cells) {
                poll_now_and_then();
                ConeCut parts = cut(cone, joint.pre.row(i).transpose());
                if (parts.negative) next.emplace_back(std::move(*parts.negative), bits);
                if (parts.positive) {
                    set_bit(bits, i);
                    next.emplace_back(std::move(*parts.positive), std::move(bits));
                }
            }
            cells = std::move(next);
        }
        for (auto& [cone, bits] : cells) {
            joint.cone = std::move(cone);
            joint.patterns.back()[0] = std::move(bits);
            out.push_back(joint);
        }
    }

    const Lines& lines_;
    Index most_;
    const Poll& poll_;
    Index n_;
    std::uint64_t calls_ = 0;
};

}  // namespace

Cells cells_of_subdivision(const Lines& lines, const TreeShape& shape, Index most, const Poll& poll) {
    return Subdivision(lines, most, poll).cells(shape);
}

}  // namespace pathrelu
