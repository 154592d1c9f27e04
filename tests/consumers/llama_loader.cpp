// llama.cpp's own reader of control vectors, callable from Python: `common_control_vector_load` of libllama-common,
// whose header llama-cpp-python doesn't install. The two structs are those of `common/common.h`.
#include <algorithm>
#include <string>
#include <vector>

struct common_control_vector_load_info {
    float strength;
    std::string fname;
};
struct common_control_vector_data {
    int n_embd;
    std::vector<float> data;
};
common_control_vector_data common_control_vector_load(const std::vector<common_control_vector_load_info> & infos);

// Number of floats written to `out`, from layer 1 on, or -1 for a file that llama.cpp refuses to start with.
extern "C" int load_control_vector(const char * path, float * out, int capacity) {
    const common_control_vector_data loaded = common_control_vector_load({{1.0f, path}});
    const int size = static_cast<int>(loaded.data.size());
    if (loaded.n_embd == -1 || size > capacity) {
        return -1;
    }
    std::copy(loaded.data.begin(), loaded.data.end(), out);
    return size;
}
