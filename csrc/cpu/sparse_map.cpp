// Hash look-up of sparse coordinates with open addressing and linear probing.
#include <algorithm>
#include <stdexcept>
#include <vector>

#include "cpu/sparse.h"

namespace deep3dmap::cpu {
namespace {

constexpr int64_t kRowsPerTask = 2048;

// Rows of four neighbours along z, -1 for none. Half a cache line.
struct alignas(32) Block {
  int64_t key = kSparseEmpty;
  int32_t rows[4] = {-1, -1, -1, -1};
};

constexpr Block kNoBlock;

// Hash table of blocks, with neighbours along y stored next to each other. `shift` is the number of trailing zero bits common to
// all coordinates, so that blocks are also full for coarse tensors, whose coordinates are multiples of their stride.
class Table {
 public:
  Table(const int32_t* coordinates, int64_t count) {
    if (count > INT32_MAX) throw std::invalid_argument("sparse: more rows than an int32 can count");
    uint32_t all = 0;
    for (int64_t row = 0; row < count; ++row)
      for (int axis = 1; axis < 4; ++axis) all |= static_cast<uint32_t>(coordinates[4 * row + axis]);
    while (shift_ < kSparseAxisBits - 1 && !(all >> shift_ & 1)) ++shift_;
    const int64_t blocks = most_blocks(coordinates, count);
    while ((int64_t{1} << bits_) < 2 * blocks) ++bits_;
    blocks_.resize(size_t{1} << bits_);
    for (int64_t row = 0; row < count; ++row) insert(coordinates + 4 * row, static_cast<int32_t>(row));
  }

  int64_t block_key(int64_t key) const { return key >> (shift_ + 2); }
  const Block& block(int64_t block_key) const {
    const Block& found = blocks_[place_of(block_key)];
    return found.key == block_key ? found : kNoBlock;
  }

  int32_t row(const Block& block, int64_t key) const {
    const int32_t found = block.rows[key >> shift_ & 3];
    return key & ((int64_t{1} << shift_) - 1) ? -1 : found;
  }

  int32_t find(int64_t key) const { return row(block(block_key(key)), key); }

 private:
  static int64_t key_of(const int32_t* c) { return sparse_key(c[0], c[1], c[2], c[3]); }

  // Exact for rows in lexicographic order, otherwise an upper bound.
  int64_t most_blocks(const int32_t* coordinates, int64_t count) const {
    int64_t blocks = 0, last = kSparseEmpty;
    for (int64_t row = 0; row < count; ++row) {
      const int64_t key = block_key(key_of(coordinates + 4 * row));
      blocks += key != last;
      last = key;
    }
    return blocks;
  }

  // Four neighbours along y (two cache lines) share a hash.
  uint64_t home(int64_t block_key) const {
    constexpr int kLowestOfY = kSparseAxisBits - 2;
    const int64_t others = block_key & ~(int64_t{3} << kLowestOfY);
    return sparse_hash(others) >> (66 - bits_) << 2 | (block_key >> kLowestOfY & 3);
  }

  // Returns the slot of the block, or the empty slot where it would be inserted.
  size_t place_of(int64_t block_key) const {
    const size_t mask = blocks_.size() - 1;
    size_t place = static_cast<size_t>(home(block_key));
    while (blocks_[place].key != block_key && blocks_[place].key != kSparseEmpty) place = (place + 1) & mask;
    return place;
  }

  // The first of several equal coordinates is kept.
  void insert(const int32_t* c, int32_t row) {
    if (!sparse_in_range(c[0], c[1], c[2], c[3])) return;
    const int64_t key = key_of(c);
    Block& block = blocks_[place_of(block_key(key))];
    block.key = block_key(key);
    int32_t& slot = block.rows[key >> shift_ & 3];
    if (slot < 0) slot = row;
  }

  int bits_ = 3, shift_ = 0;
  std::vector<Block> blocks_;
};

struct Offsets {
  const int32_t* values;  // (count, 3)
  int64_t count;
  int64_t reach = 0;      // largest absolute offset along any axis
  std::vector<int64_t> steps;
  std::vector<int64_t> column;  // offsets that differ only in z share an index

  Offsets(const int32_t* offsets, int64_t offset_count) : values(offsets), count(offset_count) {
    for (int64_t k = 0; k < count; ++k) {
      const int32_t* o = values + 3 * k;
      steps.push_back(sparse_key_step(o[0], o[1], o[2]));
      for (int i = 0; i < 3; ++i) reach = std::max<int64_t>(reach, o[i] < 0 ? -int64_t{o[i]} : o[i]);
      int64_t same = 0;
      while (values[3 * same] != o[0] || values[3 * same + 1] != o[1]) ++same;
      column.push_back(same);
    }
  }

  bool symmetric() const {
    for (int64_t i = 0; i < 3 * count; ++i)
      if (values[i] != -int64_t{values[3 * (count - 1 - i / 3) + i % 3]}) return false;
    return count % 2 == 1;
  }

  bool stays_in_range(const int32_t* c) const {
    const int64_t limit = kSparseAxisLimit - reach;
    bool inside = (c[0] >= 0) & (c[0] < kSparseBatchLimit);
    for (int i = 1; i < 4; ++i) inside = inside & (c[i] >= -limit) & (c[i] < limit);
    return inside;
  }
};

int32_t find_moved(const Table& table, const int32_t* c, const int32_t* offset) {
  const int64_t x = int64_t{c[1]} + offset[0], y = int64_t{c[2]} + offset[1], z = int64_t{c[3]} + offset[2];
  return sparse_in_range(c[0], x, y, z) ? table.find(sparse_key(c[0], x, y, z)) : -1;
}

// Looks up all offsets, row by row. Consecutive rows tend to be neighbours along z, so the two most recent blocks in each column of
// offsets can often be reused.
class Finder {
 public:
  Finder(const Table& table, const Offsets& offsets) : table_(table), offsets_(offsets), memo_(2 * offsets.count) {}

  // Writes found[k * stride] for the listed offsets k.
  void around(const int32_t* c, const std::vector<int64_t>& wanted, int32_t* found, int64_t stride) {
    if (!offsets_.stays_in_range(c)) {
      for (const int64_t k : wanted) found[k * stride] = find_moved(table_, c, offsets_.values + 3 * k);
      return;
    }
    const int64_t start = sparse_key(c[0], c[1], c[2], c[3]);
    for (const int64_t k : wanted) {
      const int64_t key = start + offsets_.steps[k], block_key = table_.block_key(key);
      Memo& memo = memo_[2 * offsets_.column[k] + (block_key & 1)];
      if (memo.key != block_key) memo = {block_key, &table_.block(block_key)};
      found[k * stride] = table_.row(*memo.block, key);
    }
  }

 private:
  struct Memo {
    int64_t key = kSparseEmpty;
    const Block* block = &kNoBlock;
  };

  const Table& table_;
  const Offsets& offsets_;
  std::vector<Memo> memo_;
};

}  // namespace

void sparse_lookup(const int32_t* coordinates, int64_t count, const int32_t* queries, int64_t query_count, int64_t* rows, int threads) {
  static constexpr int32_t kStill[3] = {0, 0, 0};
  const Table table(coordinates, count);
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int64_t q = 0; q < query_count; ++q) rows[q] = find_moved(table, queries + 4 * q, kStill);
}

void sparse_neighbours(const int32_t* inputs, int64_t input_count, const int32_t* outputs, int64_t output_count,
                       const int32_t* offset_values, int64_t offset_count, int32_t* found, int threads) {
  const Table table(inputs, input_count);
  const Offsets offsets(offset_values, offset_count);
  const bool mirrored = inputs == outputs && input_count == output_count && offsets.symmetric();
  // A pair (i, o) of one offset is the pair (o, i) of the opposite offset. Of the two, the one with the negative key step is
  // looked up: these span fewer columns.
  std::vector<int64_t> wanted, mirrors;
  for (int64_t k = 0; k < offset_count; ++k) (mirrored && offsets.steps[k] > 0 ? mirrors : wanted).push_back(k);
  std::sort(wanted.begin(), wanted.end(), [&](int64_t a, int64_t b) { return offsets.steps[a] < offsets.steps[b]; });
  for (const int64_t k : mirrors) std::fill_n(found + k * output_count, output_count, -1);
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
  for (int64_t start = 0; start < output_count; start += kRowsPerTask) {
    const int64_t stop = std::min(start + kRowsPerTask, output_count);
    Finder finder(table, offsets);
    for (int64_t o = start; o < stop; ++o) finder.around(outputs + 4 * o, wanted, found + o, output_count);
    int32_t nowhere;
    for (const int64_t k : mirrors) {
      const int32_t* behind = found + (offset_count - 1 - k) * output_count;
      int32_t* ahead = found + k * output_count;
      // Selects an address instead of branching, since the branch would be mispredicted a third of the time.
      for (int64_t o = start; o < stop; ++o) *(behind[o] >= 0 ? ahead + behind[o] : &nowhere) = static_cast<int32_t>(o);
    }
  }
}

void sparse_pair_counts(const int32_t* table, int64_t offset_count, int64_t outputs, int64_t* counts, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int64_t k = 0; k < offset_count; ++k) {
    int32_t count = 0;
    for (int64_t o = 0; o < outputs; ++o) count += table[k * outputs + o] >= 0;
    counts[k] = count;
  }
}

void sparse_pairs(const int32_t* table, int64_t outputs, const int64_t* splits, int64_t offset_count, int32_t* in_rows,
                  int32_t* out_rows, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int64_t k = 0; k < offset_count; ++k) {
    const int32_t* row = table + k * outputs;
    const int64_t stop = splits[k + 1];
    int64_t place = splits[k];
    // Writes every row but advances only past present ones; stops after the last pair, before those of the next offset.
    for (int64_t o = 0; o < outputs && place < stop; ++o) {
      in_rows[place] = row[o];
      out_rows[place] = static_cast<int32_t>(o);
      place += row[o] >= 0;
    }
  }
}

}  // namespace deep3dmap::cpu
