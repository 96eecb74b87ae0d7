/** The menu of tasks: named operations that open in a tab of their own, with the variables to fill in. */
import groups from './operations.js';

/** Gives GraphiQL's editor of a kind, as Monaco knows it: `operation.graphql` or `variables.json`. */
const model = (ending) => self.monaco?.editor.getModels().find(({ uri }) => uri.path.endsWith(ending));

function show({ operation, variables }) {
  document.querySelector('.graphiql-tab-add')?.click();
  // The new tab empties the editors when React has rendered it.
  requestAnimationFrame(() =>
    setTimeout(() => {
      model('operation.graphql')?.setValue(operation);
      const text = JSON.stringify(variables, null, 2);
      model('variables.json')?.setValue(text);
      const editor = self.monaco?.editor
        .getEditors()
        .find((candidate) => candidate.getModel()?.uri.path.endsWith('variables.json'));
      // The cursor stands in the first variable that is to be filled in.
      const empty = text.indexOf('""');
      if (empty >= 0) editor?.setPosition(editor.getModel().getPositionAt(empty + 1));
      editor?.focus();
    }, 0),
  );
}

const made = (name, properties, ...children) => {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
};

/** Fills the menu. */
export function addTasks() {
  const menu = document.getElementById('tasks');
  for (const { title, tasks } of groups) {
    const list = made('ul', {});
    for (const task of tasks) {
      const button = made(
        'button',
        { type: 'button' },
        made('strong', { textContent: task.title }),
        made('span', { textContent: task.explanation }),
      );
      button.addEventListener('click', () => {
        menu.hidePopover();
        show(task);
      });
      list.append(made('li', {}, button));
    }
    menu.append(made('h2', { textContent: title }), list);
  }
}
