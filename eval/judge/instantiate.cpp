// Loaded by g++ while it makes a precompiled header (headers.py): at the marker, which is the header's last
// declaration, the templates that its inline functions use are instantiated as at the end of a program. Without
// it g++ only notes them, and instantiates them anew in every program that has the header.
//
// g++ exports what is declared here in every version; its own headers for plugins are rarely installed.
#include <cstring>

struct tree_node;
enum insert_option : unsigned { NO_INSERT };
extern "C" int get_named_event_id(const char*, insert_option);
extern "C" void register_callback(const char*, int, void (*)(void*, void*), void*);
const char* decl_as_string(tree_node*, int);
void instantiate_pending_templates(int);
extern int at_eof;

int plugin_is_GPL_compatible;  // g++ refuses a plugin without it

static void declared(void* declaration, void*) {
    if (std::strcmp(decl_as_string(static_cast<tree_node*>(declaration), 0), "__end_of_precompiled")) return;
    at_eof = 1;  // else their linkage stays open, and a program may be optimised in another way
    instantiate_pending_templates(0);
    at_eof = 0;
}

extern "C" int plugin_init(void*, void*) {
    register_callback("instantiate", get_named_event_id("PLUGIN_FINISH_DECL", NO_INSERT), declared, nullptr);
    return 0;
}
